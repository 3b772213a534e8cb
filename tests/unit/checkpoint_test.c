/* What a checkpoint keeps comes back to the bit, the loss scale too; a device that cannot give its state up leaves the last
 * checkpoint as it is. */
#include "cmocka_all.h"

#include "worker/checkpoint.h"
#include "worker/state.h"


static const struct recipe recipe = {.lr_scale = LR_SCALES_ONE};

struct plan { /* the state that this backend of the test gives */
	const struct net *net;
	struct state state;
	bool lost;
};

static void alloc_state(const struct plan *plan, struct state *ret)
{
	state_alloc(ret, plan->net, &recipe, DTYPE_F32);
}

static int get_state(struct plan *plan, struct state *into, struct err *err)
{
	if (plan->lost)
		return err_set(err, -ENODEV, "the device is gone");
	memcpy(into->params, plan->state.params, plan->net->param_count * sizeof(float));
	memcpy(into->slots[0], plan->state.slots[0], plan->net->param_count * sizeof(float));
	memcpy(into->buffers, plan->state.buffers, plan->net->buffer_count * sizeof(float));
	into->steps = plan->state.steps;
	into->batches_tracked = plan->state.batches_tracked;
	into->scaler = plan->state.scaler;
	return 0;
}

static const struct backend backend = {.name = "test", .state_alloc = alloc_state, .state_get = get_state};

struct fixture {
	char *dir;
	struct net *net;
	struct plan plan;
	struct event_log *events;
	struct checkpointer *checkpointer;
};

static void wake(void *arg)
{
}

static int open_fixture(void **state)
{
	struct err err;
	struct fixture *f = xcalloc(1, sizeof(*f));
	f->dir = temp_dir();
	f->net = net_new_custom(STEM_CIFAR, false, (int[]){1, 0, 0, 0}, 8, 32, 10);
	f->plan.net = f->net;
	state_alloc(&f->plan.state, f->net, &recipe, DTYPE_F32);
	net_init(f->net, 3, f->plan.state.params, f->plan.state.buffers);
	for (size_t i = 0; i < f->net->param_count; i++)
		((float *)f->plan.state.slots[0])[i] = 1e-3f * (float)i;
	f->plan.state.steps = 76;
	f->plan.state.batches_tracked = 77;
	assert_int_equal(event_log_new(&f->events, f->dir, 1, wake, NULL, &err), 0);
	assert_int_equal(checkpointer_new(&f->checkpointer, f->dir, f->net, &backend, &f->plan, f->events, &err), 0);
	*state = f;
	return 0;
}

static int close_fixture(void **state)
{
	struct fixture *f = *state;
	checkpointer_free(f->checkpointer);
	event_log_free(f->events);
	state_fini(&f->plan.state);
	net_free(f->net);
	temp_dir_remove(f->dir);
	free(f);
	return 0;
}

static int write_last(struct fixture *f, int step, struct err *err)
{
	checkpointer_write(f->checkpointer, CHECKPOINT_LAST, json_pack("{s:i, s:i}", "epoch", 0, "step", step));
	return checkpointer_flush(f->checkpointer, err);
}

static void check_loaded(const struct fixture *f, int step)
{
	struct err err;
	struct state back;
	json_t *saved;
	const struct state *s = &f->plan.state;
	state_alloc(&back, f->net, &recipe, DTYPE_F32);
	assert_int_equal(checkpoint_load(f->dir, f->net, &back, &saved, &err), 0);
	assert_int_equal(json_integer_value(json_object_get(saved, "step")), step);
	assert_memory_equal(back.params, s->params, s->param_count * sizeof(float));
	assert_memory_equal(back.slots[0], s->slots[0], s->param_count * sizeof(float));
	assert_memory_equal(back.buffers, s->buffers, s->buffer_count * sizeof(float));
	assert_true(back.steps == 76 && back.batches_tracked == 77);
	assert_memory_equal(&back.scaler, &s->scaler, sizeof(back.scaler));
	json_decref(saved);
	state_fini(&back);
}

static void test_everything_comes_back(void **state)
{
	struct err err;
	struct fixture *f = *state;
	assert_int_equal(write_last(f, 5, &err), 0);
	check_loaded(f, 5);
	f->plan.state.scaler = (struct grad_scaler){.scale = 0x1p-3f, .good_steps = 1999, .skipped_steps = 4};
	assert_int_equal(write_last(f, 6, &err), 0);
	check_loaded(f, 6);
}

static void test_a_lost_device_writes_nothing(void **state)
{
	struct err err;
	struct fixture *f = *state;
	assert_int_equal(write_last(f, 5, &err), 0);
	f->plan.lost = true;
	assert_int_equal(write_last(f, 6, &err), -ENODEV);
	assert_string_equal(err.text, "the device is gone");
	check_loaded(f, 5);
	f->plan.lost = false;
	assert_int_equal(write_last(f, 7, &err), 0);
	check_loaded(f, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_everything_comes_back, open_fixture, close_fixture),
		cmocka_unit_test_setup_teardown(test_a_lost_device_writes_nothing, open_fixture, close_fixture),
	};
	return cmocka_run_group_tests_name("checkpoints", tests, NULL, NULL);
}
