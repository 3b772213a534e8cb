/* See recipes.h: the cpu backend and, for its bits alone, ref. */
#include "recipes.h"

static void test_cpu(void **state)
{
	recipes_check("cpu");
}

static void test_ref(void **state)
{
	recipes_check("ref");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cpu), cmocka_unit_test(test_ref)};
	return cmocka_run_group_tests_name("recipes", tests, NULL, NULL);
}
