/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A loop in a thread of its own, and a blocking client of it in the test's thread. Things that belong to
 * the loop are done by loop_play_do(), which waits until they are done.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/base/check.h"
#include "user/loop/loop.h"
#include "user/loop/mailbox.h"
#include "user/net/address.h"

enum { PLAY_SILENCE_MS = 20000 };

struct loop_play {
	struct loop *loop;
	struct mailbox *mailbox;
	pthread_t thread;
};

struct loop_play_job {
	struct message message;
	struct loop_play *play;
	void (*run)(void *context);
	void *context;
	sem_t done;
};

static inline void loop_play_on_job(struct message *message, void *context)
{
	struct loop_play_job *job = container_of(message, struct loop_play_job, message);

	(void)context;
	job->run(job->context);
	sem_post(&job->done);
}

static inline void loop_play_do(struct loop_play *play, void (*run)(void *context), void *context)
{
	struct loop_play_job job = { .play = play, .run = run, .context = context };

	list_init(&job.message.node);
	job.message.run = loop_play_on_job;
	sem_init(&job.done, 0, 0);
	mailbox_send(play->mailbox, &job.message);
	sem_wait(&job.done);
	sem_destroy(&job.done);
}

static inline void *loop_play_main(void *argument)
{
	struct loop_play *play = argument;

	CHECK(loop_run(play->loop) == 0);
	return NULL;
}

static inline void loop_play_start(struct loop_play *play)
{
	play->loop = loop_create(1024);
	CHECK(play->loop);
	play->mailbox = mailbox_create(play->loop, NULL);
	CHECK(play->mailbox);
	CHECK(pthread_create(&play->thread, NULL, loop_play_main, play) == 0);
}

static inline void loop_play_on_stop(void *context)
{
	loop_stop(context);
}

static inline void loop_play_stop(struct loop_play *play)
{
	loop_play_do(play, loop_play_on_stop, play->loop);
	pthread_join(play->thread, NULL);
	mailbox_free(play->mailbox);
	loop_free(play->loop);
}

/* ---- the client */

static inline int client_open(const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	if (connect(fd, &address->any, address->len) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static inline void client_send(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

		if (sent <= 0)
			return; /* the answer, if any, tells more */
		data += sent;
		len -= (size_t)sent;
	}
}

/* Up to size - 1 bytes, until the end of the connection or until `want` bytes are there; NUL-terminated. */
static inline size_t client_read(int fd, char *out, size_t size, size_t want)
{
	size_t len = 0;

	while (len + 1 < size && len < want) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		ssize_t got;

		if (poll(&poll_fd, 1, PLAY_SILENCE_MS) != 1)
			break;
		got = recv(fd, out + len, size - 1 - len, 0);
		if (got <= 0)
			break;
		len += (size_t)got;
	}
	out[len] = '\0';
	return len;
}

/* Sends, reads to the end of the connection, closes. The caller frees the answer. */
static inline char *client_ask(const struct address *address, const char *request, size_t *ret_len)
{
	size_t size = 8 * 1024 * 1024, len;
	char *answer = malloc(size);
	int fd = client_open(address);

	CHECK(answer && fd >= 0);
	client_send(fd, request, strlen(request));
	len = client_read(fd, answer, size, size);
	close(fd);
	if (ret_len)
		*ret_len = len;
	return answer;
}

/* True when the peer closes (or resets) without another byte within the time of silence. */
static inline bool client_sees_end(int fd)
{
	char byte[2];

	return client_read(fd, byte, sizeof(byte), 1) == 0 && recv(fd, byte, 1, MSG_DONTWAIT) <= 0;
}
