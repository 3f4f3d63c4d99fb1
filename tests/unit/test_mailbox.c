/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/play.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/alloc.h"
#include "user/loop/mailbox.h"

enum { SENDERS = 4, MESSAGES = 5000 };

struct letter {
	struct message message;
	int sender;
	int number;
};

struct post {
	struct loop *loop;
	struct mailbox *mailbox;
	int next[SENDERS]; /* number expected from each sender */
	int received;
	int stop_at;
	pthread_t thread;
	bool is_wrong_thread;
};

static void letter_run(struct message *message, void *context)
{
	struct letter *letter = container_of(message, struct letter, message);
	struct post *post = context;

	post->is_wrong_thread |= !pthread_equal(pthread_self(), post->thread);
	assert_int_equal(letter->number, post->next[letter->sender]);
	post->next[letter->sender]++;
	if (++post->received == post->stop_at)
		loop_stop(post->loop);
	free(letter);
}

static void send_letter(struct post *post, int sender, int number)
{
	struct letter *letter = malloc(sizeof(*letter));

	*letter = (struct letter){ .message = { .run = letter_run }, .sender = sender, .number = number };
	mailbox_send(post->mailbox, &letter->message);
}

static void post_open(struct post *post)
{
	*post = (struct post){ .loop = loop_create(8), .thread = pthread_self() };
	post->mailbox = mailbox_create(post->loop, post);
	assert_non_null(post->mailbox);
}

static void post_close(struct post *post)
{
	mailbox_free(post->mailbox);
	loop_free(post->loop);
}

TEST(a_message_runs_in_the_loop_not_in_send)
{
	struct post post;

	post_open(&post);
	send_letter(&post, 0, 0);
	assert_int_equal(post.received, 0);
	post.stop_at = 1;
	play(post.loop);
	assert_int_equal(post.received, 1);
	play_for(post.loop, 10);
	assert_int_equal(post.received, 1);
	post_close(&post);
}

TEST(messages_keep_their_order)
{
	struct post post;

	post_open(&post);
	for (int i = 0; i < 100; i++)
		send_letter(&post, 0, i);
	post.stop_at = 100;
	play(post.loop);
	assert_int_equal(post.next[0], 100);
	post_close(&post);
}

struct sender {
	pthread_t thread;
	struct post *post;
	int index;
};

static void *sender_thread(void *argument)
{
	struct sender *sender = argument;

	for (int i = 0; i < MESSAGES; i++) {
		send_letter(sender->post, sender->index, i);
		if (i % 100 == 0)
			usleep(1);
	}
	return NULL;
}

TEST(nothing_of_several_senders_is_lost_and_each_keeps_its_order)
{
	struct sender senders[SENDERS];
	struct post post;

	post_open(&post);
	post.stop_at = SENDERS * MESSAGES;
	for (int i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){ .post = &post, .index = i };
		assert_int_equal(pthread_create(&senders[i].thread, NULL, sender_thread, &senders[i]), 0);
	}
	play(post.loop);
	for (int i = 0; i < SENDERS; i++) {
		pthread_join(senders[i].thread, NULL);
		assert_int_equal(post.next[i], MESSAGES);
	}
	assert_false(post.is_wrong_thread);
	post_close(&post);
}

TEST(what_is_left_runs_when_drained)
{
	struct post post;

	post_open(&post);
	mailbox_drain(post.mailbox);
	for (int i = 0; i < 5; i++)
		send_letter(&post, 0, i);
	mailbox_drain(post.mailbox);
	assert_int_equal(post.received, 5);
	/* The wake-up that is still pending finds an empty queue. */
	play_for(post.loop, 10);
	assert_int_equal(post.received, 5);
	post_close(&post);
	mailbox_free(NULL);
}

/* A message that makes round trips between two loops, as a question and its answer do. */
struct ball {
	struct message message;
	struct post *near;
	struct post *far;
	int bounces;
};

enum { BOUNCES = 2000 };

static void ball_run(struct message *message, void *context)
{
	struct ball *ball = container_of(message, struct ball, message);
	struct post *here = context;
	struct post *there = here == ball->near ? ball->far : ball->near;

	assert_true(pthread_equal(pthread_self(), here->thread));
	/* The last two touches end both plays. */
	if (++ball->bounces >= BOUNCES)
		loop_stop(here->loop);
	if (ball->bounces <= BOUNCES)
		mailbox_send(there->mailbox, message);
}

static void *far_thread(void *argument)
{
	struct post *post = argument;

	post->thread = pthread_self();
	loop_run(post->loop);
	return NULL;
}

TEST(a_message_may_be_sent_on_as_its_own_answer)
{
	struct ball ball = { .message = { .run = ball_run } };
	struct post near, far;
	pthread_t thread;

	post_open(&near);
	post_open(&far);
	ball.near = &near;
	ball.far = &far;
	mailbox_send(far.mailbox, &ball.message);
	assert_int_equal(pthread_create(&thread, NULL, far_thread, &far), 0);
	play(near.loop);
	pthread_join(thread, NULL);
	assert_int_equal(ball.bounces, BOUNCES + 1);
	post_close(&near);
	post_close(&far);
}

static void send_from_run(struct message *message, void *context)
{
	struct post *post = context;

	free(container_of(message, struct letter, message));
	if (++post->received < post->stop_at) {
		struct letter *letter = malloc(sizeof(*letter));

		*letter = (struct letter){ .message = { .run = send_from_run } };
		mailbox_send(post->mailbox, &letter->message);
	} else {
		loop_stop(post->loop);
	}
}

TEST(a_message_may_send_to_its_own_mailbox)
{
	struct letter *first = malloc(sizeof(*first));
	struct post post;

	post_open(&post);
	post.stop_at = 50;
	*first = (struct letter){ .message = { .run = send_from_run } };
	mailbox_send(post.mailbox, &first->message);
	play(post.loop);
	assert_int_equal(post.received, 50);
	post_close(&post);
}

static int make_mailbox(void *context)
{
	struct mailbox *mailbox = mailbox_create(context, NULL);

	if (!mailbox)
		return -ENOMEM;
	mailbox_free(mailbox);
	return 0;
}

TEST(each_allocation_may_fail_and_a_full_loop_is_an_error)
{
	struct loop *roomy = loop_create(8), *full = loop_create(0);

	assert_true(alloc_fail_each(make_mailbox, roomy) >= 1);
	assert_null(mailbox_create(full, NULL));
	loop_free(roomy);
	loop_free(full);
}
