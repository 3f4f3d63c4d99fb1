/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "user/base/limits.h"

/* What stands in the way of reading: things that block, never end, or are too large. */

static char directory[] = "/tmp/headgate-test-source-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[4][100];
	static unsigned next;
	char *out = path[next++ % 4];

	snprintf(out, sizeof(path[0]), "%s/%s", directory, name);
	return out;
}

/* `padding` bytes of a comment follow the text. */
static void write_file(const char *name, const char *text, size_t padding)
{
	FILE *file = fopen(path_of(name), "w");
	char *comment = malloc(padding + 1);

	assert_non_null(file);
	assert_non_null(comment);
	memset(comment, 'x', padding);
	assert_true(fprintf(file, "%s# ", text) > 0);
	assert_int_equal(fwrite(comment, 1, padding, file), padding);
	free(comment);
	assert_true(fputs("\n", file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void refused(const char *path, const char *place, const char *words)
{
	const struct config_source source = { .path = path };
	struct config_case c;

	config_case_sources(&c, &source, 1);
	assert_int_equal(c.result, -EINVAL);
	config_case_says(&c, CONFIG_ERROR, place, words);
	config_case_done(&c);
}

/* `cat missing.yaml | headgate -f -` must not start and listen on nothing. */
TEST(an_empty_stream_is_refused_like_an_empty_file)
{
	const struct config_source source = { .path = "standard input", .has_text = true };
	struct config_case c;

	config_case_sources(&c, &source, 1);
	assert_int_equal(c.result, -EINVAL);
	config_case_says(&c, CONFIG_ERROR, "standard input: ", "is empty");
	config_case_done(&c);
}

/* Nobody writes to the pipe: opening it as a file would wait forever. */
TEST(only_regular_files_are_read)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(mkdir(path_of("kinds"), 0755), 0);
	write_file("kinds/a.yaml", "config: {via: true}\n", 0);
	assert_int_equal(mkfifo(path_of("kinds/b.yaml"), 0600), 0);
	refused(path_of("kinds"), path_of("kinds/b.yaml: "), "is a named pipe, not a regular file; remove");
	refused(path_of("kinds/b.yaml"), path_of("kinds/b.yaml: "), "is a named pipe");
	assert_int_equal(unlink(path_of("kinds/b.yaml")), 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path_of("kinds/c.json"));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	refused(path_of("kinds"), path_of("kinds/c.json: "), "is a socket, not a regular file");
	close(fd);
	assert_int_equal(unlink(path_of("kinds/c.json")), 0);

	assert_int_equal(symlink("/dev/zero", path_of("kinds/d.yml")), 0);
	refused(path_of("kinds"), path_of("kinds/d.yml: "), "is a device, not a regular file");
	refused("/dev/tty", "/dev/tty: ", "is a device, not a regular file");
}

/* What this process has read so far, whatever from. */
static unsigned long long bytes_read(void)
{
	FILE *file = fopen("/proc/self/io", "r");
	unsigned long long bytes;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "rchar: %llu", &bytes), 1);
	assert_int_equal(fclose(file), 0);
	return bytes;
}

/* A terabyte of nothing. */
TEST(a_huge_file_is_refused_unread)
{
	unsigned long long before = bytes_read();

	assert_int_equal(mkdir(path_of("huge"), 0755), 0);
	write_file("huge/a.yaml", "config: {}\n", 0);
	assert_int_equal(truncate(path_of("huge/a.yaml"), (off_t)1 << 40), 0);
	refused(path_of("huge"), path_of("huge/a.yaml: "), "is larger than 16 MiB; split it");
	assert_true(bytes_read() - before < 1024 * 1024);
}

TEST(all_files_together_are_bounded)
{
	const size_t half = LIMIT_CONFIG_BYTES - 100;
	struct config_source list[2];
	struct config_case c;
	char name[20];

	assert_int_equal(mkdir(path_of("many"), 0755), 0);
	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "many/%d.yaml", i);
		write_file(name, i ? "" : "config: {via: true}\n", half);
	}
	list[0] = (struct config_source){ .path = path_of("many") };
	config_case_sources(&c, list, 1);
	config_case_accepted(&c);
	config_case_done(&c);

	write_file("one.yaml", "", 1000);
	list[1] = (struct config_source){ .path = path_of("one.yaml") };
	config_case_sources(&c, list, 2);
	assert_int_equal(c.result, -EINVAL);
	config_case_says(&c, CONFIG_ERROR, path_of("one.yaml: "), "larger than 64 MiB together");
	config_case_done(&c);
}

/* Few bytes of a file name many bytes of the environment. */
static struct text repeated(const char *begin, const char *segment, size_t count, const char *end)
{
	struct text text;

	text_init(&text);
	text_str(&text, begin);
	for (size_t i = 0; i < count; i++)
		text_str(&text, segment);
	text_str(&text, end);
	assert_int_equal(text_error(&text), 0);
	return text;
}

TEST(what_variables_make_of_a_file_is_bounded)
{
	struct text value = repeated("", "v", 100 * 1024, ""), text;
	struct config_source source;
	struct config_case c;

	assert_int_equal(setenv("HEADGATE_TEST_LONG", value.data, 1), 0);
	text = repeated("x: \"", "$HEADGATE_TEST_LONG ", 160, "\"\n");
	source = (struct config_source){ .path = "a.yaml", .has_text = true, .text = text_span(&text) };
	config_case_sources(&c, &source, 1);
	assert_null(strstr(config_case_lines(&c, CONFIG_ERROR), "variables are expanded"));
	config_case_done(&c);
	text_done(&text);

	text = repeated("x: \"", "$HEADGATE_TEST_LONG ", 20000, "\"\n");
	source.text = text_span(&text);
	config_case_sources(&c, &source, 1);
	assert_int_equal(c.result, -EINVAL);
	config_case_says(&c, CONFIG_ERROR,
			 "a.yaml:1:3265: ", "larger than 16 MiB once its variables are expanded");
	assert_int_equal(c.report.count[CONFIG_ERROR], 1);
	config_case_done(&c);
	text_done(&text);
	assert_int_equal(unsetenv("HEADGATE_TEST_LONG"), 0);
	text_done(&value);
}

/*
 * Each of them moves the columns of all that follow it in the line. If the time grew with the square of their
 * number, this would not end within the time that a program of tests has.
 */
TEST(the_place_behind_many_variables_in_one_line_is_that_in_the_file)
{
	struct text text = repeated("x: [", "$$,", 900000, "{a: 1, a: 2}]\n");
	struct config_source source = { .path = "a.yaml", .has_text = true, .text = text_span(&text) };
	struct config_case c;

	config_case_sources(&c, &source, 1);
	assert_int_equal(c.result, -EINVAL);
	config_case_says(&c, CONFIG_ERROR, "a.yaml:1:2700012: ", "");
	config_case_done(&c);
	text_done(&text);
}

static int start(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int stop(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command);
}

TEST_GROUP(start, stop);
