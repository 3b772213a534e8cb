/* See page_check.h. */
#include "page_check.h"

#include "common/db.h"
#include "common/log.h"

struct page_check {
	uv_work_t work;
	struct daemon *daemon;
	struct db *db;
	int result;
	struct err err;
};

static void check(uv_work_t *work)
{
	struct page_check *check = work->data;
	check->result = db_check_pages(check->db, &check->err);
}

static void checked(uv_work_t *work, int status)
{
	struct page_check *check = work->data;
	struct daemon *d = check->daemon;
	d->page_check = NULL;
	if (status == 0 && check->result == -EBADMSG) {
		store_distrust(d->store);
		store_explain_damage(d->paths.db, &check->err);
		log_error("%s", check->err.text);
		daemon_stop(d);
	}
	db_close(check->db);
	free(check);
}

void page_check_start(struct daemon *d)
{
	struct err err;
	if (store_is_checked(d->store))
		return;
	struct page_check *check_all = xcalloc(1, sizeof(*check_all));
	if (db_open(&check_all->db, d->paths.db, DB_READ, &err) < 0) {
		log_warn("its pages are not checked: %s", err.text);
		free(check_all);
		return;
	}
	check_all->daemon = d;
	check_all->work.data = check_all;
	d->page_check = check_all;
	uv_queue_work(&d->loop, &check_all->work, check, checked);
}

void page_check_end(struct daemon *d)
{
	if (!d->page_check)
		return;
	db_interrupt(d->page_check->db);
	uv_cancel((uv_req_t *)&d->page_check->work); /* if it has not begun */
}
