/* Offline runs: the bytes of the container and of the messages, and that a directory is there whole or not at all.
 * tests/wandb reads what the records hold. */
#include "cmocka_all.h"

#include "common/fs.h"
#include "common/json.h"
#include "forward/offline.h"
#include "forward/proto.h"
#include "forward/wlog.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

/* --- messages: the examples of https://protobuf.dev/programming-guides/encoding/ and the edges of a varint --- */

static void expect_bytes(struct proto *p, const char *hex)
{
	autofree char *text = xcalloc(p->size * 2 + 1, 1);
	for (size_t i = 0; i < p->size; i++)
		snprintf(text + 2 * i, 3, "%02x", p->bytes[i]);
	assert_string_equal(text, hex);
	proto_clear(p);
}

static void test_messages(void **state)
{
	autoproto struct proto p = {0}, inner = {0};
	proto_int(&p, 1, 150);
	expect_bytes(&p, "089601");
	proto_text(&p, 2, "testing");
	expect_bytes(&p, "120774657374696e67");
	proto_int(&inner, 1, 150);
	proto_message(&p, 3, &inner);
	expect_bytes(&p, "1a03089601");
	proto_int(&p, 1, -2);
	expect_bytes(&p, "08feffffffffffffffff01");
	proto_int(&p, 16, 0);
	expect_bytes(&p, "800100");
	proto_int(&p, 1, 127);
	proto_int(&p, 1, 128);
	expect_bytes(&p, "087f088001");
	proto_double(&p, 2, 1.5);
	expect_bytes(&p, "11000000000000f83f");
	proto_message(&p, 20, &(struct proto){0});
	expect_bytes(&p, "a20100");
}

/* --- the container --- */

struct file {
	char *dir, *path, *bytes;
	size_t size;
	struct wlog log;
};

static void open_log(struct file *f)
{
	f->dir = temp_dir();
	f->path = xasprintf("%s/x.wandb", f->dir);
	int fd = open(f->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	wlog_init(&f->log, fd);
}

static void close_log(struct file *f)
{
	struct err err;
	assert_int_equal(wlog_sync(&f->log), 0);
	wlog_fini(&f->log);
	assert_int_equal(fs_read_file(f->path, 1 << 24, &f->bytes, &f->size, &err), 0);
}

static void file_fini(struct file *f)
{
	free(f->path);
	free(f->bytes);
	temp_dir_remove(f->dir);
}

/* The checksums by Python: binascii.crc32(b"\x01123456789") = 0x21b52ec0, crc32(b"\x01") = 0xa505df1b. */
static void test_golden_bytes(void **state)
{
	struct file f;
	open_log(&f);
	assert_int_equal(wlog_add(&f.log, "123456789", 9), 0);
	assert_int_equal(wlog_add(&f.log, "", 0), 0);
	close_log(&f);
	static const uint8_t golden[] = {':', 'W', '&', 'B', 0xe1, 0xbe, 0, 0xc0, 0x2e, 0xb5, 0x21, 9, 0, 1, '1', '2', '3', '4', '5', '6', '7', '8', '9', 0x1b, 0xdf, 0x05, 0xa5, 0, 0, 1};
	assert_int_equal(f.size, sizeof(golden));
	assert_memory_equal(f.bytes, golden, sizeof(golden));
	file_fini(&f);
}

static uint8_t byte_of(size_t record, size_t i)
{
	return (uint8_t)(record * 31 + i * 7 + i / 251);
}

/* A reader: every chunk's checksum and place; gives the records' sizes and checks their bytes. */
static void read_records(const struct file *f, const size_t *sizes, size_t n)
{
	size_t at = 7, record = 0, done = 0;
	bool first = true; /* a first chunk of no bytes is right where 7 are left */
	while (at < f->size) {
		size_t left = WLOG_BLOCK - at % WLOG_BLOCK;
		if (left < WLOG_CHUNK_HEAD) {
			for (size_t i = 0; i < left; i++)
				assert_int_equal(f->bytes[at + i], 0);
			at += left;
			continue;
		}
		const uint8_t *c = (const uint8_t *)f->bytes + at;
		size_t size = c[4] | (size_t)c[5] << 8;
		uint32_t crc = c[0] | (uint32_t)c[1] << 8 | (uint32_t)c[2] << 16 | (uint32_t)c[3] << 24;
		assert_true(size + WLOG_CHUNK_HEAD <= left);
		assert_int_equal(crc, crc32(0, c + 6, (uInt)size + 1));
		assert_true(record < n);
		bool last = done + size == sizes[record] && (size > 0 || sizes[record] == 0);
		assert_int_equal(c[6], first ? (last ? 1 : 2) : last ? 4 : 3);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(c[7 + i], byte_of(record, done + i));
		done = last ? 0 : done + size;
		record += last;
		first = last;
		at += WLOG_CHUNK_HEAD + size;
	}
	assert_int_equal(record, n);
}

/* Records that end at, just before and just after the end of a block, and some over several. */
static void test_records_and_blocks(void **state)
{
	static const size_t base = WLOG_BLOCK - 7 - WLOG_CHUNK_HEAD; /* fills the first block */
	for (size_t less = 0; less < 20; less++) {
		struct file f;
		size_t sizes[] = {base - less, 1, 70000, 32761, 0, 500000, 3};
		open_log(&f);
		for (size_t r = 0; r < ARRAY_LEN(sizes); r++) {
			autofree uint8_t *bytes = xmalloc(sizes[r] + 1);
			for (size_t i = 0; i < sizes[r]; i++)
				bytes[i] = byte_of(r, i);
			assert_int_equal(wlog_add(&f.log, bytes, sizes[r]), 0);
		}
		close_log(&f);
		read_records(&f, sizes, ARRAY_LEN(sizes));
		file_fini(&f);
	}
}

static void test_a_full_disk(void **state)
{
	static char much[1 << 20];
	struct wlog l;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	wlog_init(&l, fd);
	assert_int_equal(wlog_add(&l, much, sizeof(much)), -ENOSPC);
	wlog_fini(&l);
}

/* --- the directory --- */

static struct offline *begin(const char *dir, int64_t started_ms)
{
	struct err err;
	struct offline *o;
	autojson json_t *config = json_pack("{s:f, s:s}", "lr", 0.1, "model", "resnet18");
	struct offline_run run = {
		.id = "abcdefghijkl", .project = "p", .name = "grid 1", .host = "h", .config = config,
		.started_ms = started_ms,
	};
	if (offline_begin(&o, dir, &run, &err) < 0)
		fail_msg("%s", err.text);
	return o;
}

static size_t entries(const char *dir)
{
	size_t n = 0;
	DIR *d = opendir(dir);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += !str_eq(e->d_name, ".") && !str_eq(e->d_name, "..");
	closedir(d);
	return n;
}

static void test_whole_or_not_at_all(void **state)
{
	struct err err;
	char *dir = temp_dir(), *path;
	struct offline *o = begin(dir, 1795486681000);
	assert_int_equal(entries(dir), 1);
	offline_abandon(o);
	assert_int_equal(entries(dir), 0);
	pid_t killed = fork();
	if (killed == 0) {
		begin(dir, 1795486681000);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(killed, NULL, 0), killed);
	assert_int_equal(entries(dir), 1);
	for (int i = 0; i < 2; i++) {
		o = begin(dir, 1795486681000);
		assert_int_equal(offline_history(o, "{\"test_accuracy\":75.5,\"_step\":1}", &err), 0);
		assert_int_equal(offline_file(o, "media/images/a/b.png", "png", 3, &err), 0);
		assert_int_equal(offline_commit(o, 0, 1795486682000, &path, &err), 0);
		assert_string_equal(strrchr(path, '/'), "/offline-run-20261124_021801-abcdefghijkl");
		assert_int_equal(entries(dir), 1);
		autofree char *marker = xasprintf("%s/run-abcdefghijkl.wandb.synced", path);
		assert_false(fs_exists(marker)); /* the new one is not sent yet */
		assert_int_equal(fs_write_file(marker, "", 0, 0644, &err), 0);
		autofree char *media = xasprintf("%s/files/media/images/a/b.png", path), *log = xasprintf("%s/run-abcdefghijkl.wandb", path);
		assert_true(fs_exists(media) && fs_exists(log));
		free(path);
	}
	temp_dir_remove(dir);
}

static void test_a_place_that_cannot_be(void **state)
{
	struct err err;
	struct offline *o;
	struct offline_run run = {.id = "abcdefghijkl", .project = "p", .name = "n", .host = "h"};
	assert_int_equal(offline_begin(&o, "/dev/null/x", &run, &err), -ENOTDIR);
	assert_non_null(strstr(err.text, "/dev/null/x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_golden_bytes),
		cmocka_unit_test(test_records_and_blocks),
		cmocka_unit_test(test_a_full_disk),
		cmocka_unit_test(test_whole_or_not_at_all),
		cmocka_unit_test(test_a_place_that_cannot_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
