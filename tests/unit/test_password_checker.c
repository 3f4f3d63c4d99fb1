/* SPDX-License-Identifier: Apache-2.0 */
#include "user/auth/password_checker.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test_arena.h"
#include "tests/unit/play.h"
#include "user/base/check.h"
#include "user/base/clock.h"

TEST_ARENA(arena, 4096);

static const struct siphash_key key = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };

/*
 * bob's takes about 2 ms, as most hashes longer than it takes to put a question; dave's takes eight times as
 * long. The password of both is "right".
 */
#define USERS                                                                                                \
	"bob:$2b$05$QsSokCCNV3xaVmZ1YxOUAu3RknpjA8IWTdzHqiWLPQwaHV0YS0ERi\n"                                 \
	"dave:$2b$08$QsSokCCNV3xaVmZ1YxOUAuQ34nXuPVFinHw9C70t6Z6uaT9KH6Ziu\n"                                \
	"alice:$apr1$YiPZEg5X$zKuMA0QopCi4HIP0BoYbt/\n"
#define ALICE "pa:ss w\xc3\xb6rd"

struct stage {
	struct loop *loop;
	struct mailbox *mailbox;
	struct password_checker *checker;
	struct htpasswd users;
	uint32_t answers[3]; /* by verdict */
	uint32_t waits;
};

static void on_answer(struct message *message, void *context)
{
	struct password_question *question = container_of(message, struct password_question, message);
	struct stage *stage = context;

	stage->answers[question->verdict]++;
	password_question_wipe(question);
	free(question);
	if (--stage->waits == 0)
		loop_stop(stage->loop);
}

static void stage_open(struct stage *stage)
{
	struct htpasswd_fault fault, weak;

	*stage = (struct stage){ .loop = loop_create(8) };
	stage->mailbox = mailbox_create(stage->loop, stage);
	stage->checker = password_checker_create(&key);
	assert_non_null(stage->checker);
	assert_int_equal(htpasswd_parse(&arena, SPAN(USERS), &stage->users, &fault, &weak), 0);
}

static void stage_close(struct stage *stage)
{
	password_checker_free(stage->checker);
	mailbox_drain(stage->mailbox);
	mailbox_free(stage->mailbox);
	loop_free(stage->loop);
}

static struct password_question *question_of(struct stage *stage, const char *name, const char *password)
{
	struct password_question *question = calloc(1, sizeof(*question));

	question->message.run = on_answer;
	question->mailbox = stage->mailbox;
	if (!password_question_init(stage->checker, question, &stage->users, span_str(name),
				    span_str(password))) {
		free(question);
		return NULL;
	}
	return question;
}

static int ask(struct stage *stage, const char *name, const char *password, uint64_t client)
{
	struct password_question *question = question_of(stage, name, password);
	int result;

	assert_non_null(question);
	result = password_checker_submit(stage->checker, question, client);
	if (result == 0)
		stage->waits++;
	else
		free(question);
	return result;
}

/* Asks, and waits for every answer: returns how many questions have been right so far. */
static uint32_t right_after(struct stage *stage, const char *name, const char *password, uint64_t client)
{
	assert_int_equal(ask(stage, name, password, client), 0);
	play(stage->loop);
	return stage->answers[PASSWORD_RIGHT];
}

static bool is_known(struct stage *stage, const char *name, const char *password, uint64_t later_ms)
{
	struct password_question *question = question_of(stage, name, password);
	bool result = password_checker_knows(stage->checker, question, clock_now_ms() + later_ms);

	free(question);
	return result;
}

TEST(a_good_pair_is_remembered_for_a_while_and_a_wrong_one_never)
{
	struct stage stage;

	stage_open(&stage);
	assert_false(is_known(&stage, "alice", ALICE, 0));
	assert_int_equal(ask(&stage, "alice", ALICE, 1), 0);
	assert_int_equal(ask(&stage, "alice", "wrong", 1), 0);
	assert_int_equal(ask(&stage, "bob", ALICE, 1), 0);
	assert_int_equal(ask(&stage, "carol", ALICE, 1), 0);
	play(stage.loop);
	assert_int_equal(stage.answers[PASSWORD_RIGHT], 1);
	assert_int_equal(stage.answers[PASSWORD_WRONG], 3);
	assert_true(is_known(&stage, "alice", ALICE, 0));
	assert_true(is_known(&stage, "alice", ALICE, PASSWORD_REMEMBER_MS / 2));
	assert_false(is_known(&stage, "alice", ALICE, PASSWORD_REMEMBER_MS));
	assert_false(is_known(&stage, "alice", "wrong", 0));
	assert_false(is_known(&stage, "bob", ALICE, 0));
	assert_false(is_known(&stage, "carol", ALICE, 0));
	stage_close(&stage);
}

/* The unknown user is compared with a hash for nothing: even its password lets nobody in. */
TEST(an_unknown_user_is_refused_with_any_password)
{
	struct stage stage;

	stage_open(&stage);
	for (int i = 0; i < 8; i++) {
		char name[24];

		snprintf(name, sizeof(name), "user%d", i);
		assert_int_equal(ask(&stage, name, ALICE, (uint64_t)i * 2), 0);
		assert_int_equal(ask(&stage, name, "right", (uint64_t)i * 2), 0);
	}
	play(stage.loop);
	assert_int_equal(stage.answers[PASSWORD_WRONG], 16);
	stage_close(&stage);
}

TEST(a_changed_hash_ends_what_was_remembered)
{
	struct stage stage;
	struct htpasswd_fault fault, weak;

	stage_open(&stage);
	assert_int_equal(right_after(&stage, "alice", ALICE, 1), 1);
	assert_true(is_known(&stage, "alice", ALICE, 0));
	assert_int_equal(htpasswd_parse(&arena, SPAN("alice:OzJ6/2K4ZAKEY\n"), &stage.users, &fault, &weak),
			 0);
	assert_false(is_known(&stage, "alice", ALICE, 0));
	stage_close(&stage);
}

/* Asks different questions, each of another client or all of one. Returns how many the queue took. */
static uint32_t guess(struct stage *stage, const char *name, uint32_t count, bool is_one_client)
{
	uint32_t taken = 0;

	for (uint32_t i = 0; i < count; i++) {
		char password[24];

		snprintf(password, sizeof(password), "guess%u", i);
		taken += ask(stage, name, password, is_one_client ? 7 : 100 + i) == 0;
	}
	return taken;
}

/* Verified once, it takes one place among the different ones; the requests that wait for it are bounded. */
TEST(a_client_that_repeats_a_question_fills_its_own_share_of_the_waiters_only)
{
	struct stage stage;
	uint32_t taken = 0;

	stage_open(&stage);
	/* The threads are busy with these for the time that the loop below takes. */
	guess(&stage, "dave", PASSWORD_QUEUE_CLIENT, true);
	for (uint32_t i = 0; i < PASSWORD_WAITERS; i++)
		taken += ask(&stage, "bob", "right", 8) == 0;
	assert_in_range(taken, PASSWORD_WAITERS_CLIENT, PASSWORD_WAITERS - 1);
	assert_int_equal(right_after(&stage, "alice", ALICE, 9), taken + 1);
	stage_close(&stage);
}

/* More than the threads can verify meanwhile: 2000 guesses of 2 ms. */
TEST(a_client_that_guesses_fills_its_own_share_of_the_queue_only)
{
	struct stage stage;
	uint32_t taken;

	stage_open(&stage);
	taken = guess(&stage, "bob", 2000, true);
	assert_true(taken < 2000);
	assert_int_equal(right_after(&stage, "alice", ALICE, 8), 1);
	assert_int_equal(stage.answers[PASSWORD_WRONG], taken);
	/* The share is free again. */
	assert_int_equal(right_after(&stage, "bob", "right", 7), 2);
	stage_close(&stage);
}

TEST(many_clients_together_are_bounded)
{
	struct stage stage;

	stage_open(&stage);
	assert_true(guess(&stage, "bob", 2000, false) < 2000);
	play(stage.loop);
	stage_close(&stage);
}

TEST(questions_that_wait_at_the_end_are_answered_and_not_with_yes)
{
	struct stage stage;
	uint32_t waits;

	stage_open(&stage);
	waits = guess(&stage, "bob", 40, false);
	stage_close(&stage);
	assert_int_equal(stage.waits, 0);
	assert_int_equal(stage.answers[PASSWORD_RIGHT], 0);
	assert_int_equal(stage.answers[PASSWORD_WRONG] + stage.answers[PASSWORD_FAILED], waits);
}

TEST(control_characters_and_long_passwords_are_refused_at_once)
{
	struct stage stage;
	char longer[PASSWORD_BYTES + 2] = { 0 };

	stage_open(&stage);
	memset(longer, 'a', sizeof(longer) - 1);
	assert_null(question_of(&stage, "alice", longer));
	assert_null(question_of(&stage, "alice", ALICE "\n"));
	assert_null(question_of(&stage, "al\x7fice", ALICE));
	stage_close(&stage);
}

static int create(void *context)
{
	struct password_checker *checker = password_checker_create(&key);

	(void)context;
	password_checker_free(checker);
	return checker ? 0 : -ENOMEM;
}

TEST(a_failed_allocation_leaves_no_thread)
{
	assert_true(alloc_fail_each(create, NULL) > 2);
}
