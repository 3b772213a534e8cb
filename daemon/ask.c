/* A loop of its own for one child: it is over when the child has exited and its output has ended, or, after it was killed
 * in vain (it waits in the kernel), when the grace is over too.  See ask.h. */
#include "ask.h"

#include <signal.h>
#include <uv.h>

#define GRACE_MS 1000

struct question {
	uv_loop_t loop;
	uv_process_t process;
	uv_pipe_t out;
	uv_timer_t timer;
	char *text; /* ASK_BYTES_MAX + 1 bytes */
	size_t size;
	bool exited, ended; /* the process, its output */
	bool late, too_long;
	int64_t status;
	int signal;
};

static void close_all(struct question *q)
{
	uv_handle_t *handles[] = {(uv_handle_t *)&q->process, (uv_handle_t *)&q->out, (uv_handle_t *)&q->timer};
	for (size_t i = 0; i < ARRAY_LEN(handles); i++)
		if (!uv_is_closing(handles[i]))
			uv_close(handles[i], NULL);
}

static void check_over(struct question *q)
{
	if (q->exited && q->ended)
		close_all(q);
}

static void kill_group(struct question *q)
{
	if (!q->exited)
		kill(-q->process.pid, SIGKILL); /* not reaped yet: the number is its own */
}

static void on_end(uv_process_t *process, int64_t status, int number)
{
	struct question *q = process->data;
	q->exited = true;
	q->status = status;
	q->signal = number;
	check_over(q);
}

static void on_timer(uv_timer_t *timer)
{
	struct question *q = timer->data;
	if (q->late) {
		close_all(q);
		return;
	}
	q->late = true;
	kill_group(q);
	uv_timer_start(timer, on_timer, GRACE_MS, 0);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct question *q = handle->data;
	*buf = uv_buf_init(q->text + q->size, (unsigned)(ASK_BYTES_MAX + 1 - q->size));
}

static void on_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct question *q = stream->data;
	if (n > 0)
		q->size += (size_t)n;
	if (n > 0 && q->size > ASK_BYTES_MAX) {
		q->too_long = true;
		kill_group(q);
	}
	if (n < 0 || q->too_long) {
		uv_read_stop(stream);
		q->ended = true;
		check_over(q);
	}
}

static int launch(struct question *q, char *const args[], int timeout_ms, struct err *err)
{
	uv_stdio_container_t stdio[] = {
		{.flags = UV_IGNORE},
		{.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&q->out},
		{.flags = UV_INHERIT_FD, .data.fd = 2},
	};
	const uv_process_options_t options = {
		.exit_cb = on_end,
		.file = args[0],
		.args = (char **)args,
		.flags = UV_PROCESS_DETACHED,
		.stdio = stdio,
		.stdio_count = ARRAY_LEN(stdio),
	};
	q->process.data = q->out.data = q->timer.data = q;
	uv_pipe_init(&q->loop, &q->out, 0);
	uv_timer_init(&q->loop, &q->timer);
	int r = uv_spawn(&q->loop, &q->process, &options);
	if (r < 0)
		return err_set(err, r, "cannot start %s: %s", args[0], uv_strerror(r));
	uv_read_start((uv_stream_t *)&q->out, on_room, on_bytes);
	uv_timer_start(&q->timer, on_timer, (uint64_t)timeout_ms, 0);
	return 0;
}

static int outcome(const struct question *q, const char *program, int timeout_ms, struct err *err)
{
	if (q->too_long)
		return err_set(err, -EFBIG, "%s printed more than %u bytes", program, ASK_BYTES_MAX);
	if (q->late)
		return err_set(err, -ETIMEDOUT, "%s did not end within %d ms and was killed", program, timeout_ms);
	if (q->signal)
		return err_set(err, -EIO, "%s was killed by signal %d", program, q->signal);
	if (q->status)
		return err_set(err, -EIO, "%s ended with exit status %d", program, (int)q->status);
	return 0;
}

int ask_program(char **ret, char *const args[], int timeout_ms, struct err *err)
{
	struct question q = {.status = 0};
	int r = uv_loop_init(&q.loop);
	if (r < 0)
		return err_set(err, r, "cannot make an event loop: %s", uv_strerror(r));
	q.text = xmalloc(ASK_BYTES_MAX + 1);
	r = launch(&q, args, timeout_ms, err);
	if (r < 0)
		close_all(&q);
	uv_run(&q.loop, UV_RUN_DEFAULT);
	uv_loop_close(&q.loop);
	r = r ? r : outcome(&q, args[0], timeout_ms, err);
	q.text[MIN(q.size, ASK_BYTES_MAX)] = '\0';
	if (r < 0)
		free(q.text);
	else
		*ret = q.text;
	return r;
}
