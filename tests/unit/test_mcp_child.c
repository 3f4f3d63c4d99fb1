/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/clock_ahead.h"
#include "tests/unit/play.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/alloc.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/mcp/target/child.h"
#include "user/mcp/target/child_stderr_log.h"

/* Real children: shells that do what a line of the test says. */
enum { SCENE_BYTES = 64 * 1024, MESSAGE_BYTES = 1024 * 1024 };

struct scene {
	struct mcp_targets targets;
	struct mcp_target *target;
	char scratch[LIMIT_READ_BYTES];
	struct text got; /* messages, each with a line end */
	size_t got_count;
	size_t longest;
	size_t stop_at; /* messages */
	struct text why;
	struct text lost_calls; /* "call:why\n" */
	int lost;
	bool stops_when_lost;
	bool closes_at_message;
	bool is_empty;
};

static enum mcp_fault on_message(void *owner, uint64_t call, struct span message)
{
	struct scene *scene = owner;

	assert_int_equal(call, 0);
	if (message.len > scene->longest)
		scene->longest = message.len;
	if (scene->got.len + message.len < SCENE_BYTES) {
		text_add(&scene->got, message);
		text_char(&scene->got, '\n');
	}
	scene->got_count++;
	if (scene->closes_at_message) {
		mcp_target_close(scene->target);
		scene->target = NULL;
	}
	if (scene->got_count == scene->stop_at)
		loop_stop(scene->targets.loop);
	return MCP_NONE;
}

static void on_call_lost(void *owner, uint64_t call, struct span why)
{
	struct scene *scene = owner;

	text_fmt(&scene->lost_calls, "%llu:%.*s\n", (unsigned long long)call, SPAN_FMT(why));
}

static bool is_waited_for(void *owner, uint64_t call)
{
	(void)owner;
	(void)call;
	return true;
}

static void on_lost(void *owner, struct span why, struct span last)
{
	struct scene *scene = owner;

	scene->lost++;
	text_add(&scene->why, why);
	if (last.len)
		text_fmt(&scene->why, "; its last words: %.*s", SPAN_FMT(last));
	if (scene->stops_when_lost)
		loop_stop(scene->targets.loop);
}

static const struct mcp_target_events events = { on_message, on_call_lost, is_waited_for, on_lost };

static void on_empty(struct mcp_targets *targets)
{
	struct scene *scene = container_of(targets, struct scene, targets);

	scene->is_empty = true;
	loop_stop(targets->loop);
}

static int setup(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_ERROR);
	scene->targets.loop = loop_create(64);
	scene->targets.scratch = scene->scratch;
	scene->targets.on_empty = on_empty;
	scene->targets.message_bytes = MESSAGE_BYTES;
	scene->targets.max_children = LIMIT_MCP_CHILDREN;
	list_init(&scene->targets.list);
	text_init(&scene->got);
	text_init(&scene->why);
	text_init(&scene->lost_calls);
	scene->stops_when_lost = true;
	*state = scene;
	return 0;
}

static int teardown(void **state)
{
	struct scene *scene = *state;

	mcp_targets_abort(&scene->targets);
	loop_free(scene->targets.loop);
	text_done(&scene->got);
	text_done(&scene->why);
	text_done(&scene->lost_calls);
	free(scene);
	return 0;
}

static const char *const nothing[] = { NULL };

static int start_with(struct scene *scene, const char *command, const char *const *arguments,
		      const char *const *environment, bool clear, struct text *error)
{
	struct child_options options = { .name = SPAN("tools"),
					 .command = command,
					 .arguments = arguments,
					 .environment = environment,
					 .clear_environment = clear };

	return child_open(&scene->targets, &options, &events, scene, error, &scene->target);
}

static void start(struct scene *scene, const char *script)
{
	const char *arguments[] = { "-c", script, NULL };
	struct text error;

	text_init(&error);
	assert_int_equal(start_with(scene, "/bin/sh", arguments, nothing, false, &error), 0);
	assert_int_equal(error.len, 0);
	text_done(&error);
}

static int tell(struct scene *scene, const char *message)
{
	struct iovec segments[2] = { { .iov_base = (char *)(uintptr_t)message, .iov_len = 1 },
				     { .iov_base = (char *)(uintptr_t)(message + 1),
				       .iov_len = strlen(message) - 1 } };
	struct mcp_out out = { .segments = segments, .count = 2, .bytes = strlen(message) };

	return mcp_target_send(scene->target, &out);
}

static void run_until_got(struct scene *scene, size_t count)
{
	scene->stop_at = count;
	play(scene->targets.loop);
	assert_int_equal(scene->got_count, count);
}

static void close_and_wait(struct scene *scene)
{
	if (scene->target)
		mcp_target_close(scene->target);
	scene->target = NULL;
	if (!scene->is_empty)
		play(scene->targets.loop);
	assert_true(scene->is_empty);
	assert_int_equal(scene->targets.children, 0);
}

/*
 * The same of one that does not end with its input: it gets SIGTERM after a pause, and what ignores that
 * SIGKILL after another. Not before: the clock is put forward.
 */
static void close_and_outlast(struct scene *scene, int pauses)
{
	mcp_target_close(scene->target);
	scene->target = NULL;
	for (int i = 0; i < pauses; i++) {
		play_turn(scene->targets.loop);
		assert_false(scene->is_empty);
		clock_put_forward(LIMIT_MCP_CHILD_PAUSE_MS + 2); /* timers round up */
		play_turn(scene->targets.loop);
	}
	close_and_wait(scene);
}

static void assert_text(const struct text *text, const char *want)
{
	assert_string_equal(text->data ? text->data : "", want);
}

#define SCENE_TEST(name) TEST_WITH(name, setup, teardown)

/* ---- messages */

SCENE_TEST(a_message_is_a_line_both_ways)
{
	struct scene *scene = *state;

	start(scene, "exec cat");
	assert_int_equal(tell(scene, "{\"a\":1}"), 0);
	assert_int_equal(tell(scene, "{\"b\":2}"), 0);
	run_until_got(scene, 2);
	assert_text(&scene->got, "{\"a\":1}\n{\"b\":2}\n");
	close_and_wait(scene);
	assert_int_equal(scene->lost, 0);
}

SCENE_TEST(lines_may_come_in_pieces_with_CR_and_empty_ones_between)
{
	struct scene *scene = *state;

	start(scene, "printf '{\"a\":'; sleep 0.05; printf '1}\\r\\n\\n  \\r\\n{\"b\"'; sleep 0.05; "
		     "printf ':2}\\n{\"c\":3}\\n'; cat");
	run_until_got(scene, 3);
	assert_text(&scene->got, "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
	close_and_wait(scene);
}

SCENE_TEST(a_limit_that_a_reload_lowers_below_what_is_stored_of_a_line_fails_its_request_only)
{
	struct scene *scene = *state;

	start(scene, "printf '{\"a\":1}\\n{\"id\":7,\"result\":\"%0100d' 0; read go; printf '\"}\\n'; cat");
	run_until_got(scene, 1);
	scene->targets.message_bytes = 64;
	assert_int_equal(tell(scene, "{\"go\":1}\n{\"b\":2}"), 0);
	run_until_got(scene, 2);
	assert_text(&scene->got, "{\"a\":1}\n{\"b\":2}\n");
	assert_text(&scene->lost_calls, "7:a message of 120 bytes, more than limits.mcpMessageBytes\n");
	assert_int_equal(scene->lost, 0);
	close_and_wait(scene);
}

SCENE_TEST(a_message_of_the_largest_size_goes_through_and_comes_back)
{
	struct scene *scene = *state;
	char *message = malloc(MESSAGE_BYTES + 1);

	memset(message, 'x', MESSAGE_BYTES);
	message[MESSAGE_BYTES] = '\0';
	start(scene, "exec cat");
	assert_int_equal(tell(scene, message), 0);
	run_until_got(scene, 1);
	assert_int_equal(scene->longest, MESSAGE_BYTES);
	free(message);
	close_and_wait(scene);
}

SCENE_TEST(what_was_written_before_the_end_counts)
{
	struct scene *scene = *state;

	start(scene, "echo '{\"last\":1}'; exit 3");
	play(scene->targets.loop);
	assert_text(&scene->got, "{\"last\":1}\n");
	assert_text(&scene->why, "exited with status 3");
	close_and_wait(scene);
}

SCENE_TEST(while_it_is_held_nothing_is_read_and_nothing_is_lost)
{
	struct scene *scene = *state;
	struct mcp_target_view view;

	start(scene, "for i in 1 2 3; do echo \"{$i}\"; done; exec cat");
	mcp_target_hold(scene->target, true);
	play_for(scene->targets.loop, 300);
	assert_int_equal(scene->got_count, 0);
	mcp_target_hold(scene->target, false);
	run_until_got(scene, 3);
	mcp_target_describe(scene->target, &view);
	assert_int_equal(view.received, 3);
	assert_string_equal(view.state, "running");
	assert_true(view.pid > 0);
	close_and_wait(scene);
}

/* ---- guests that misbehave */

SCENE_TEST(a_line_without_end_loses_the_target_and_not_more_memory_than_the_limit)
{
	struct scene *scene = *state;

	start(scene, "exec tr '\\0' x < /dev/zero");
	play(scene->targets.loop);
	assert_int_equal(scene->got_count, 0);
	assert_text(&scene->why, "wrote a line without end");
	close_and_outlast(scene, 1);
}

SCENE_TEST(a_line_over_the_limit_is_an_error_of_the_request_it_answers_and_the_target_lives)
{
	struct scene *scene = *state;

	start(scene,
	      "printf '{\"id\":7,\"result\":\"'; head -c 1500000 /dev/zero | tr '\\0' x; printf '\"}\\n'; "
	      "printf '{\"result\":\"'; head -c 1500000 /dev/zero | tr '\\0' x; printf '\",\"id\":8}\\n'; "
	      "echo '{\"id\":9}'; exec cat");
	run_until_got(scene, 1);
	assert_text(&scene->lost_calls, "7:a message of 1500020 bytes, more than limits.mcpMessageBytes\n"
					"8:a message of 1500020 bytes, more than limits.mcpMessageBytes\n");
	assert_text(&scene->got, "{\"id\":9}\n");
	close_and_wait(scene);
	assert_int_equal(scene->lost, 0);
}

/* The last quarter of the queue is for small messages. */
SCENE_TEST(what_one_that_does_not_read_cannot_take_is_refused_and_it_lives)
{
	static char message[MESSAGE_BYTES / 2];
	struct scene *scene = *state;
	struct mcp_target_view view;
	int sent = 0;

	memset(message, 'x', sizeof(message) - 1);
	start(scene, "exec sleep 1000");
	while (tell(scene, message) == 0 && sent < 1000)
		sent++;
	assert_int_equal(tell(scene, message), -ENOBUFS);
	mcp_target_describe(scene->target, &view);
	assert_true(view.queued_bytes <= 3 * (LIMIT_MCP_QUEUE_FACTOR * MESSAGE_BYTES / 4));
	message[LIMIT_MCP_SMALL_BYTES - 1] = '\0';
	assert_int_equal(tell(scene, message), 0);
	while (tell(scene, message) == 0 && sent < 1000)
		sent++;
	assert_int_equal(tell(scene, message), -ENOBUFS);
	mcp_target_describe(scene->target, &view);
	assert_true(view.queued_bytes <= LIMIT_MCP_QUEUE_FACTOR * MESSAGE_BYTES);
	assert_true(view.queued_bytes > 3 * (LIMIT_MCP_QUEUE_FACTOR * MESSAGE_BYTES / 4));
	assert_string_equal(view.state, "running");
	assert_int_equal(scene->lost, 0);
	close_and_outlast(scene, 1);
}

SCENE_TEST(one_that_closes_its_output_is_lost_although_it_lives)
{
	struct scene *scene = *state;

	start(scene, "exec >&-; exec sleep 1000");
	play(scene->targets.loop);
	assert_text(&scene->why, "closed its standard output");
	close_and_outlast(scene, 1);
}

SCENE_TEST(one_that_closes_its_input_is_lost_with_the_next_message)
{
	struct scene *scene = *state;

	start(scene, "exec <&-; echo '{}'; exec sleep 1000");
	run_until_got(scene, 1);
	assert_int_equal(tell(scene, "{\"a\":1}"), 0);
	play(scene->targets.loop);
	assert_text(&scene->why, "closed its standard input");
	close_and_outlast(scene, 1);
}

SCENE_TEST(a_signal_that_ended_it_is_named_with_its_last_words)
{
	struct scene *scene = *state;

	start(scene, "echo cannot go on >&2; kill -ABRT $$");
	play(scene->targets.loop);
	assert_text(&scene->why, "was killed by signal 6 (ABRT); its last words: cannot go on");
	close_and_wait(scene);
}

SCENE_TEST(a_flood_is_taken_in_turns)
{
	struct scene *scene = *state;

	start(scene, "exec yes '{\"a\":1}'");
	/* If its lines did not end with the turn, the first one with a line would never end. */
	for (int i = 0; i < PLAY_LIMIT_MS && scene->got_count < 10000; i++) {
		uint64_t turn = loop_turn(scene->targets.loop);

		play_for(scene->targets.loop, 1);
		assert_true(loop_turn(scene->targets.loop) > turn);
		assert_int_equal(scene->lost, 0);
	}
	assert_true(scene->got_count >= 10000);
	close_and_outlast(scene, 1);
}

SCENE_TEST(an_owner_may_close_it_while_it_is_told_a_message)
{
	struct scene *scene = *state;

	scene->closes_at_message = true;
	start(scene, "printf '{}\\n{}\\n{}\\n'; exec cat");
	play(scene->targets.loop);
	assert_true(scene->is_empty);
	assert_int_equal(scene->got_count, 1);
	assert_int_equal(scene->lost, 0);
}

/* ---- its end */

SCENE_TEST(one_that_ignores_the_end_of_its_input_and_SIGTERM_is_killed_with_its_children)
{
	struct scene *scene = *state;
	char *end;
	long pid;

	start(scene, "trap '' TERM; sleep 1000 & echo $!; while :; do sleep 1000; done");
	run_until_got(scene, 1);
	pid = strtol(scene->got.data, &end, 10);
	assert_true(pid > 1);
	assert_int_equal(kill((pid_t)pid, 0), 0);
	close_and_outlast(scene, 2);
	/* Whoever adopted the sleeper reaps it soon. */
	for (int i = 0; i < 1000 && kill((pid_t)pid, 0) == 0; i++) {
		char path[64], status[256] = { 0 };
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
		file = fopen(path, "r");
		if (!file)
			break;
		assert_true(fread(status, 1, sizeof(status) - 1, file) > 0);
		fclose(file);
		if (strstr(status, ") Z ") || strstr(status, ") X "))
			break;
		usleep(10 * 1000);
		assert_int_not_equal(i, 999);
	}
}

SCENE_TEST(when_the_thread_ends_nobody_is_waited_for)
{
	struct scene *scene = *state;

	start(scene, "trap '' TERM; echo '{}'; while :; do sleep 1000; done");
	run_until_got(scene, 1);
	mcp_targets_abort(&scene->targets);
	assert_true(scene->is_empty);
	assert_int_equal(scene->targets.children, 0);
}

/* ---- its begin */

SCENE_TEST(what_cannot_be_started_says_so)
{
	struct scene *scene = *state;
	struct text error;

	text_init(&error);
	assert_int_equal(start_with(scene, "no-such-program", nothing, nothing, false, &error), -ENOENT);
	assert_text(&error, "cannot start no-such-program: No such file or directory");
	text_clear(&error);
	assert_int_equal(start_with(scene, "/etc/passwd", nothing, nothing, false, &error), -EACCES);
	assert_text(&error, "cannot start /etc/passwd: Permission denied");
	text_done(&error);
	assert_true(list_is_empty(&scene->targets.list));
	assert_int_equal(scene->targets.children, 0);
}

SCENE_TEST(it_has_three_descriptors_its_own_group_and_default_signals)
{
	struct scene *scene = *state;
	int kept = open("/dev/null", O_RDONLY); /* not closed by exec */
	char want[160];
	struct mcp_target_view view;

	start(scene, "echo /proc/self/fd/*; "
		     "awk '/^SigBlk|^SigIgn/ { print $2 }' /proc/self/status | tr 18 00; "
		     "ps -o pgid= -p $$ | tr -d ' '; exec cat");
	mcp_target_describe(scene->target, &view);
	run_until_got(scene, 4);
	/*
	 * The last one is the shell's own, of the directory. Signals 32 and 33 (180000000) are the C
	 * library's.
	 */
	snprintf(want, sizeof(want),
		 "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n"
		 "0000000000000000\n0000000000000000\n%d\n",
		 view.pid);
	assert_text(&scene->got, want);
	close(kept);
	close_and_wait(scene);
}

SCENE_TEST(the_environment_is_the_gateways_and_what_was_configured)
{
	static const char *const environment[] = { "MCP_A=new", "MCP_B=b", NULL };
	const char *arguments[] = { "-c", "echo $MCP_A,$MCP_B,$MCP_C,$NOTIFY_SOCKET; exec cat", NULL };
	struct scene *scene = *state;
	struct text error;

	text_init(&error);
	setenv("MCP_A", "old", 1);
	setenv("MCP_C", "c", 1);
	setenv("NOTIFY_SOCKET", "/run/notify", 1);
	assert_int_equal(start_with(scene, "sh", arguments, environment, false, &error), 0);
	run_until_got(scene, 1);
	assert_text(&scene->got, "new,b,c,\n");
	close_and_wait(scene);
	scene->is_empty = false;
	assert_int_equal(start_with(scene, "/bin/sh", arguments, environment, true, &error), 0);
	run_until_got(scene, 2);
	assert_text(&scene->got, "new,b,c,\nnew,b,,\n");
	close_and_wait(scene);
	unsetenv("NOTIFY_SOCKET");
	text_done(&error);
}

SCENE_TEST(without_memory_or_descriptors_nothing_is_left_behind)
{
	static const char *const arguments[] = { NULL };
	struct scene *scene = *state;
	struct text error;
	int result = -ENOMEM;

	text_init(&error);
	for (unsigned long nth = 1; result < 0; nth++) {
		mem_fail_nth(nth);
		result = start_with(scene, "cat", arguments, nothing, false, &error);
		mem_fail_nth(0);
		if (result < 0)
			assert_true(list_is_empty(&scene->targets.list));
	}
	assert_int_equal(result, 0);
	text_done(&error);
	close_and_wait(scene);
}

/* ---- standard error */

SCENE_TEST(a_flood_of_complaints_is_cut_and_the_last_one_is_known)
{
	struct child_stderr_log words;
	char line[LIMIT_MCP_LOG_BYTES * 2];

	(void)state;
	assert_int_equal(child_stderr_log_init(&words, SPAN("tools")), 0);
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	for (int i = 0; i < 1000; i++)
		child_stderr_log_take(&words, span_of(line, sizeof(line)), 5000);
	assert_int_equal(words.lines, LIMIT_MCP_LOG_LINES);
	assert_int_equal(words.left_out, 1000 - LIMIT_MCP_LOG_LINES);
	assert_int_equal(words.last.len, LIMIT_MCP_LOG_BYTES);
	assert_int_equal(buf_len(&words.line), 0);
	child_stderr_log_take(&words, SPAN("the "), 6500);
	child_stderr_log_take(&words, SPAN("end\r\n\n"), 6500);
	assert_int_equal(words.left_out, 0);
	assert_true(span_eq(words.last, SPAN("the end")));
	child_stderr_log_done(&words);
}
