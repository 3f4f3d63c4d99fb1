/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/handoff_channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/net/socket.h"
#include "user/restart/announced.h"

enum { HANDOFF_FDS = 2 };

/* The first byte of a message with one descriptor. */
enum handoff_kind {
	HANDOFF_IDLE,
	HANDOFF_HEALTH,
};

/*
 * Of a stream. An idle client is one byte. Behind either is what a PROXY header announced about the
 * connection, if there was one.
 */
struct handoff_item {
	struct restart_entry entry;
	char texts[RESTART_LONG_TEXT_BYTES]; /* where they are too long for the entry */
	struct restart_announced announced; /* where all before have their maximum length */
};

union handoff_control {
	char space[CMSG_SPACE(HANDOFF_FDS * sizeof(int))];
	struct cmsghdr align;
};

int handoff_pair(int *ret_old_fd, int *ret_new_fd)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	*ret_old_fd = fds[0];
	*ret_new_fd = fds[1];
	return 0;
}

int handoff_say_hello(int fd)
{
	return send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

bool handoff_has_hello(int fd)
{
	char hello;

	return recv(fd, &hello, sizeof(hello), MSG_DONTWAIT | MSG_TRUNC) == sizeof(hello);
}

/* 0: the entry has its texts itself. */
static size_t long_text_bytes(const struct restart_entry *entry)
{
	size_t bytes = 0;

	for (size_t i = 0; i < ARRAY_LEN(entry->text_bytes); i++)
		bytes += entry->text_bytes[i];
	return bytes <= RESTART_TEXT_BYTES ? 0 : bytes;
}

static void attach_fds(struct msghdr *message, union handoff_control *control, const int *fds, size_t count)
{
	struct cmsghdr *rights;

	memset(control, 0, sizeof(*control));
	message->msg_control = control->space;
	message->msg_controllen = CMSG_SPACE(count * sizeof(*fds));
	rights = CMSG_FIRSTHDR(message);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(count * sizeof(*fds));
	memcpy(CMSG_DATA(rights), fds, count * sizeof(*fds));
}

static int send_message(int fd, const struct msghdr *message)
{
	ssize_t len;

	do
		len = sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (len < 0 && errno == EINTR);
	/* ETOOMANYREFS: more descriptors are under way than a process may have open. */
	if (len < 0)
		return errno == ETOOMANYREFS ? -EAGAIN : -errno;
	return 0;
}

int handoff_send(int fd, struct restart_state *restart_state, int client_fd, int backend_fd)
{
	bool is_stream = backend_fd >= 0;
	char idle = HANDOFF_IDLE;
	const struct restart_announced *announced = restart_announced_of(restart_state, client_fd);
	struct iovec segments[] = { { &idle, sizeof(idle) },
				    { 0 },
				    { (void *)(uintptr_t)announced, announced ? sizeof(*announced) : 0 } };
	union handoff_control control;
	int fds[HANDOFF_FDS] = { client_fd, backend_fd };
	struct msghdr message = { .msg_iov = segments, .msg_iovlen = ARRAY_LEN(segments) };
	int error;

	attach_fds(&message, &control, fds, is_stream ? 2 : 1);
	if (!is_stream)
		return send_message(fd, &message);
	segments[0] = (struct iovec){ &restart_state->streams[client_fd],
				      sizeof(restart_state->streams[client_fd]) };
	segments[1] = (struct iovec){ restart_state->long_texts[client_fd],
				      long_text_bytes(&restart_state->streams[client_fd]) };
	/* Should the new program die with it unread, its peers get a reset. stream_resume() undoes this. */
	socket_set_abort(client_fd, true);
	socket_set_abort(backend_fd, true);
	error = send_message(fd, &message);
	if (error) {
		socket_set_abort(client_fd, false);
		socket_set_abort(backend_fd, false);
	}
	return error;
}

/* How many there are; those that do not fit into fds, or this process, are not among them. */
static size_t take_fds(struct msghdr *message, int fds[HANDOFF_FDS])
{
	size_t count = 0;

	for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at)) {
		if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS)
			continue;
		count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		count = count < HANDOFF_FDS ? count : HANDOFF_FDS;
		memcpy(fds, CMSG_DATA(at), count * sizeof(int));
	}
	return count;
}

/* How long the message is without what a PROXY header announced; that is recorded, if it follows. */
static size_t leave_announced(struct restart_state *restart_state, const struct handoff_item *item,
			      size_t len, size_t bytes, int client_fd)
{
	struct restart_announced announced;

	if (len != bytes + sizeof(announced))
		return len;
	memcpy(&announced, (const char *)item + bytes, sizeof(announced));
	restart_announced_put(restart_state, client_fd, &announced);
	return bytes;
}

static bool leave_stream(struct restart_state *restart_state, const struct handoff_item *item, size_t len,
			 const int fds[HANDOFF_FDS])
{
	struct restart_entry *entry = restart_entry(restart_state, fds[0]);
	size_t text_bytes = long_text_bytes(&item->entry);

	if (!entry || fds[1] >= RESTART_DESCRIPTORS || text_bytes > sizeof(item->texts) ||
	    leave_announced(restart_state, item, len, sizeof(item->entry) + text_bytes, fds[0]) !=
		    sizeof(item->entry) + text_bytes ||
	    !socket_is(fds[0], item->entry.client_cookie) || !socket_is(fds[1], item->entry.backend_cookie))
		return false;
	*entry = item->entry;
	entry->backend_fd = fds[1];
	memcpy(restart_state->long_texts[fds[0]], item->texts, text_bytes);
	conn_status_set(restart_state, fds[1], CONN_STATUS_BACKEND);
	conn_status_set(restart_state, fds[0], conn_status_of_kind(entry->kind));
	return true;
}

/* As a crashed gateway leaves it. False: not a whole connection (unix(7), MSG_CTRUNC). */
static bool leave(struct restart_state *restart_state, const struct handoff_item *item, size_t len, int flags,
		  const int fds[HANDOFF_FDS])
{
	if (flags & (MSG_TRUNC | MSG_CTRUNC) || fds[0] < 0)
		return false;
	if (fds[1] >= 0)
		return len >= sizeof(item->entry) && leave_stream(restart_state, item, len, fds);
	if (leave_announced(restart_state, item, len, 1, fds[0]) != 1)
		return false;
	conn_status_set(restart_state, fds[0], CONN_STATUS_IDLE);
	return true;
}

/* ------------------------------------------------------------------------------------ health */

static int send_fd(int fd, enum handoff_kind kind, int sent_fd)
{
	char byte = (char)kind;
	struct iovec segment = { &byte, sizeof(byte) };
	union handoff_control control;
	struct msghdr message = { .msg_iov = &segment, .msg_iovlen = 1 };

	attach_fds(&message, &control, &sent_fd, 1);
	return send_message(fd, &message);
}

static int write_all(int fd, struct span bytes)
{
	while (bytes.len) {
		ssize_t len = write(fd, bytes.data, bytes.len);

		if (len < 0 && errno != EINTR)
			return -errno;
		bytes = span_from(bytes, len < 0 ? 0 : (size_t)len);
	}
	return 0;
}

int handoff_send_health(int fd, struct span saved)
{
	int file = memfd_create("headgate-health", MFD_CLOEXEC), error;

	if (file < 0)
		return -errno;
	error = write_all(file, saved);
	if (!error)
		error = send_fd(fd, HANDOFF_HEALTH, file);
	close(file);
	return error;
}

/* 0: a message is here. */
static int await_message(int fd, uint64_t wait_ms)
{
	uint64_t end_ms = clock_now_ms() + wait_ms, now_ms;
	struct pollfd polled = { .fd = fd, .events = POLLIN };
	int count;

	do {
		now_ms = clock_now_ms();
		count = poll(&polled, 1, now_ms < end_ms ? (int)(end_ms - now_ms) : 0);
	} while (count < 0 && errno == EINTR);
	return count < 0 ? -errno : count ? 0 : -ETIME;
}

static bool is_health(const char *first, ssize_t len)
{
	return len == 1 && *first == HANDOFF_HEALTH;
}

/* Reads from the start of the file. */
static int read_file(int fd, struct buf *ret, size_t most_bytes)
{
	struct stat stat;
	size_t left, done = 0;
	int error;

	if (fstat(fd, &stat) < 0)
		return -errno;
	left = stat.st_size < 0 ? 0 : (size_t)stat.st_size;
	left = left < most_bytes ? left : most_bytes;
	error = buf_reserve(ret, left, most_bytes);
	while (!error && left) {
		ssize_t len = pread(fd, buf_tail(ret), left, (off_t)done);

		if (len <= 0)
			return len < 0 ? -errno : 0;
		buf_commit(ret, (size_t)len);
		done += (size_t)len;
		left -= (size_t)len;
	}
	return error;
}

int handoff_receive_health(int fd, uint64_t wait_ms, struct buf *ret, size_t most_bytes)
{
	char first = HANDOFF_IDLE;
	union handoff_control control = { .space = { 0 } };
	struct iovec segment = { &first, sizeof(first) };
	struct msghdr message = { .msg_iov = &segment,
				  .msg_iovlen = 1,
				  .msg_control = control.space,
				  .msg_controllen = sizeof(control.space) };
	int fds[HANDOFF_FDS] = { -1, -1 };
	int error = await_message(fd, wait_ms);
	size_t count;
	ssize_t len;

	if (error)
		return error;
	len = recv(fd, &first, sizeof(first), MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC);
	if (!is_health(&first, len))
		return -EBADMSG;
	if (recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	count = take_fds(&message, fds);
	error = count ? read_file(fds[0], ret, most_bytes) : -EBADMSG;
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	return error;
}

/* ------------------------------------------------------------------------------------ connections */

int handoff_receive(int fd, struct restart_state *restart_state, int *ret_client_fd, int *ret_backend_fd)
{
	struct handoff_item item;
	union handoff_control control = { .space = { 0 } };
	struct iovec segment = { &item, sizeof(item) };
	struct msghdr message = { .msg_iov = &segment,
				  .msg_iovlen = 1,
				  .msg_control = control.space,
				  .msg_controllen = sizeof(control.space) };
	int fds[HANDOFF_FDS] = { -1, -1 };
	size_t count;
	ssize_t len;

	do
		len = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	if (len <= 0)
		return len < 0 ? -errno : 0;
	count = take_fds(&message, fds);
	if (is_health((const char *)&item, len)) {
		for (size_t i = 0; i < count; i++)
			close(fds[i]);
		return -EAGAIN;
	}
	if (!leave(restart_state, &item, (size_t)len, message.msg_flags, fds)) {
		for (size_t i = 0; i < count; i++)
			socket_reset(fds[i]);
		return -EBADMSG;
	}
	*ret_client_fd = fds[0];
	*ret_backend_fd = fds[1];
	return 1;
}
