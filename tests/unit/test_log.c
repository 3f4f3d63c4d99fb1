/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/log.h"
#include "user/base/mem.h"

/* Standard error, caught in a file. */
struct caught {
	int kept;
	FILE *file;
	char text[256 * 1024];
};

static struct caught caught;

static void catch (void)
{
	caught.file = tmpfile();
	assert_non_null(caught.file);
	fcntl(fileno(caught.file), F_SETFL, O_APPEND);
	caught.kept = dup(STDERR_FILENO);
	dup2(fileno(caught.file), STDERR_FILENO);
}

static const char *let_go(void)
{
	size_t len;

	dup2(caught.kept, STDERR_FILENO);
	close(caught.kept);
	rewind(caught.file);
	len = fread(caught.text, 1, sizeof(caught.text) - 1, caught.file);
	caught.text[len] = '\0';
	fclose(caught.file);
	return caught.text;
}

static int defaults(void **state)
{
	(void)state;
	log_set_level(LOG_INFO);
	log_set_format(LOG_TEXT);
	return 0;
}

TEST_WITH(a_line_has_time_level_and_message, defaults, NULL)
{
	const char *text;
	int end = 0;

	catch ();
	log_warn("backend %s: %d", "a", 7);
	text = let_go();
	assert_int_equal(sscanf(text, "%*4d-%*2d-%*2dT%*2d:%*2d:%*9fZ%n", &end), 0);
	assert_int_equal(end, 27);
	assert_string_equal(text + end, "\twarn\theadgate\tbackend a: 7\n");
}

TEST_WITH(lines_above_the_level_are_not_written, defaults, NULL)
{
	for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
		const char *text;
		int lines = 0;

		log_set_level((enum log_level)level);
		assert_int_equal(log_get_level(), level);
		catch ();
		log_error("line");
		log_warn("line");
		log_info("line");
		log_debug("line");
		text = let_go();
		for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
			lines++;
		assert_int_equal(lines, level + 1);
	}
}

TEST_WITH(json_lines_escape_what_json_cannot_hold, defaults, NULL)
{
	const char *text;

	log_set_format(LOG_JSON);
	assert_int_equal(log_get_format(), LOG_JSON);
	catch ();
	log_error("a \"b\" \\ \n\x01\x7f\xff");
	text = let_go();
	assert_int_equal(strncmp(text, "{\"level\":\"error\",\"time\":\"", 25), 0);
	assert_string_equal(
		strstr(text, "\",\"scope\""),
		"\",\"scope\":\"headgate\",\"message\":\"a \\\"b\\\" \\\\ \\n\\u0001\\u007f\\u00ff\"}\n");
}

TEST_WITH(a_long_message_is_cut_and_still_one_line, defaults, NULL)
{
	char message[10000];
	const char *text;

	memset(message, 'm', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	catch ();
	log_info("%s", message);
	log_info("next");
	text = let_go();
	assert_in_range(strchr(text, '\n') - text, 4000, 4200);
	assert_non_null(strstr(text, "\theadgate\tnext\n"));
}

TEST_WITH(without_memory_a_line_is_lost_and_nothing_else, defaults, NULL)
{
	catch ();
	mem_fail_nth(1);
	log_info("lost, or part of it");
	mem_fail_nth(0);
	log_info("next");
	assert_non_null(strstr(let_go(), "\theadgate\tnext\n"));
}

TEST_WITH(levels_have_names_in_both_directions, defaults, NULL)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	enum log_level level;

	for (int i = 0; i < 4; i++) {
		assert_string_equal(log_level_name((enum log_level)i), names[i]);
		assert_int_equal(log_level_parse(span_str(names[i]), &level), 0);
		assert_int_equal(level, i);
	}
	assert_int_equal(log_level_parse(SPAN("INFO"), &level), 0);
	assert_int_equal(level, LOG_INFO);
	level = LOG_WARN;
	assert_int_equal(log_level_parse(SPAN("verbose"), &level), -EINVAL);
	assert_int_equal(log_level_parse(SPAN(""), &level), -EINVAL);
	assert_int_equal(log_level_parse(SPAN("info "), &level), -EINVAL);
	assert_int_equal(level, LOG_WARN);
}

TEST_WITH(a_rate_lets_one_line_through_an_interval_and_counts_the_rest, defaults, NULL)
{
	struct log_rate rate = { .next_ms = 0 };
	uint64_t suppressed = 77;

	assert_true(log_rate_pass(&rate, 5, 100, &suppressed));
	assert_int_equal(suppressed, 0);
	suppressed = 77;
	for (uint64_t now = 6; now < 105; now++)
		assert_false(log_rate_pass(&rate, now, 100, &suppressed));
	assert_int_equal(suppressed, 77);
	assert_true(log_rate_pass(&rate, 105, 100, &suppressed));
	assert_int_equal(suppressed, 99);
	assert_true(log_rate_pass(&rate, 10000, 100, &suppressed));
	assert_int_equal(suppressed, 0);
}

static void *writer(void *argument)
{
	char message[600];

	memset(message, *(const char *)argument, sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	for (int i = 0; i < 50; i++)
		log_info("%s", message);
	return NULL;
}

TEST_WITH(lines_of_several_threads_do_not_mix, defaults, NULL)
{
	static char letters[] = "abcd";
	pthread_t threads[4];
	const char *line;
	int lines = 0;

	catch ();
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, writer, &letters[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (line = let_go(); *line; line = strchr(line, '\n') + 1) {
		const char *message = strstr(line, "\theadgate\t") + 10;

		assert_int_equal(strspn(message, (char[]){ *message, '\0' }), 599);
		assert_int_equal(message[599], '\n');
		lines++;
	}
	assert_int_equal(lines, 200);
}
