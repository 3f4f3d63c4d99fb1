/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/name_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/base/check.h"

enum { HEADER_BYTES = 12, KIND_A = 1, FORMAT_ERROR = 1, SERVER_FAILURE = 2, NO_SUCH_NAME = 3 };

static bool is_for_ipv4(const struct name_question *question)
{
	return question->bytes[question->len - 3] == KIND_A;
}

/* The whole question, with the records behind it. */
static void name_server_answer(const struct name_server *server, const struct name_question *question)
{
	static const uint8_t record[] = { 0xc0, HEADER_BYTES, 0, KIND_A, 0, 1, 0, 0, 0, 60, 0, 4 };
	bool is_missing = memcmp(question->bytes + HEADER_BYTES, "\7missing", 8) == 0;
	int result = is_missing ? -ENOENT : server->result;
	uint32_t count = result == 0 && is_for_ipv4(question) ? server->count : 0;
	uint8_t message[2048];
	uint8_t *end = message + question->len;

	memcpy(message, question->bytes, question->len);
	message[2] = 0x81;
	message[3] = (uint8_t)(0x80 | (result == -ENOENT   ? NO_SUCH_NAME
				       : result == -EAGAIN ? SERVER_FAILURE
				       : result == -EIO	   ? FORMAT_ERROR
							   : 0));
	message[7] = (uint8_t)count;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t address = htonl(server->network + server->first + i);

		memcpy(end, record, sizeof(record));
		memcpy(end + sizeof(record), &address, sizeof(address));
		end += sizeof(record) + sizeof(address);
	}
	(void)sendto(server->fd, message, (size_t)(end - message), 0,
		     (const struct sockaddr *)&question->peer, sizeof(question->peer));
}

static void name_server_take(struct name_server *server, const struct name_question *question)
{
	pthread_mutex_lock(&server->lock);
	server->asked += is_for_ipv4(question);
	if (!server->is_held)
		name_server_answer(server, question);
	else if (server->held_count < NAME_SERVER_HELD)
		server->held[server->held_count++] = *question;
	pthread_cond_broadcast(&server->changed);
	pthread_mutex_unlock(&server->lock);
}

/* Until something comes that is no question. */
static void *name_server_run(void *argument)
{
	struct name_server *server = argument;
	struct name_question question;

	for (;;) {
		socklen_t peer_len = sizeof(question.peer);
		ssize_t len = recvfrom(server->fd, question.bytes, sizeof(question.bytes), 0,
				       (struct sockaddr *)&question.peer, &peer_len);

		if (len <= HEADER_BYTES)
			return NULL;
		question.len = (uint16_t)len;
		name_server_take(server, &question);
	}
}

void name_server_start(struct name_server *server)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int buffer = 4 << 20;

	*server = (struct name_server){ .network = 10u << 24, .count = 2, .first = 1 };
	pthread_mutex_init(&server->lock, NULL);
	pthread_cond_init(&server->changed, NULL);
	server->held = calloc(NAME_SERVER_HELD, sizeof(*server->held));
	server->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(server->held && server->fd >= 0);
	(void)setsockopt(server->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	CHECK(bind(server->fd, (struct sockaddr *)&address, len) == 0);
	CHECK(getsockname(server->fd, (struct sockaddr *)&address, &len) == 0);
	snprintf(server->address, sizeof(server->address), "127.0.0.1:%u", ntohs(address.sin_port));
	CHECK(pthread_create(&server->thread, NULL, name_server_run, server) == 0);
}

void name_server_stop(struct name_server *server)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);

	CHECK(getsockname(server->fd, (struct sockaddr *)&address, &len) == 0);
	CHECK(sendto(server->fd, "", 1, 0, (struct sockaddr *)&address, len) == 1);
	pthread_join(server->thread, NULL);
	close(server->fd);
	free(server->held);
	pthread_cond_destroy(&server->changed);
	pthread_mutex_destroy(&server->lock);
}

void name_server_set(struct name_server *server, bool is_held, int result, uint32_t count, uint8_t first)
{
	pthread_mutex_lock(&server->lock);
	server->is_held = is_held;
	server->result = result;
	server->count = count;
	server->first = first;
	for (uint32_t i = 0; !is_held && i < server->held_count; i++)
		name_server_answer(server, &server->held[i]);
	if (!is_held)
		server->held_count = 0;
	pthread_mutex_unlock(&server->lock);
}

unsigned int name_server_asked(struct name_server *server)
{
	unsigned int asked;

	pthread_mutex_lock(&server->lock);
	asked = server->asked;
	pthread_mutex_unlock(&server->lock);
	return asked;
}

void name_server_wait_held(struct name_server *server, unsigned int count)
{
	unsigned int held = 0;

	pthread_mutex_lock(&server->lock);
	while (held < count) {
		held = 0;
		for (uint32_t i = 0; i < server->held_count; i++)
			held += is_for_ipv4(&server->held[i]);
		if (held < count)
			pthread_cond_wait(&server->changed, &server->lock);
	}
	pthread_mutex_unlock(&server->lock);
}
