/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/handoff_channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "user/base/check.h"
#include "user/net/socket.h"

struct handover_hello {
	uint32_t magic;
	uint32_t version;
	uint32_t row_bytes, text_bytes;
	uint64_t layout; /* estate_layout() */
};

static struct handover_hello our_hello(void)
{
	return (struct handover_hello){
		.magic = HANDOVER_MAGIC,
		.version = HANDOVER_VERSION,
		.row_bytes = sizeof(struct estate_stream),
		.text_bytes = ESTATE_LONG_TEXT_BYTES,
		.layout = estate_layout(),
	};
}

enum { HANDOVER_FDS = 2 };

int handover_pair(int *ret_from, int *ret_to)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	*ret_from = fds[0];
	*ret_to = fds[1];
	return 0;
}

static int send_message(int fd, const struct msghdr *message)
{
	ssize_t len;

	do
		len = sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (len < 0 && errno == EINTR);
	/* Also while more descriptors are under way than a process may have. */
	if (len < 0)
		return errno == ETOOMANYREFS ? -EAGAIN : -errno;
	return 0;
}

static int send_bytes(int fd, const void *data, size_t size)
{
	struct iovec piece = { (void *)(uintptr_t)data, size };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };

	return send_message(fd, &message);
}

/* 1; 0: the end; -EBADMSG: one of another size; -EAGAIN; -errno. */
static int receive_bytes(int fd, void *memory, size_t size)
{
	ssize_t len;

	do
		len = recv(fd, memory, size, MSG_DONTWAIT | MSG_TRUNC);
	while (len < 0 && errno == EINTR);
	if (len <= 0)
		return len < 0 ? -errno : 0;
	return (size_t)len == size ? 1 : -EBADMSG;
}

int handover_say_hello(int fd)
{
	struct handover_hello hello = our_hello();

	return send_bytes(fd, &hello, sizeof(hello));
}

int handover_hear_hello(int fd)
{
	struct handover_hello hello, ours = our_hello();
	int result = receive_bytes(fd, &hello, sizeof(hello));

	if (result <= 0 && result != -EBADMSG)
		return result ? result : -ECONNRESET;
	return result == 1 && memcmp(&hello, &ours, sizeof(hello)) == 0 ? 0 : -EPROTONOSUPPORT;
}

static size_t row_text_bytes(const struct estate_stream *row)
{
	size_t bytes = 0;

	for (size_t i = 0; i < ARRAY_LEN(row->text_bytes); i++)
		bytes += row->text_bytes[i];
	return bytes;
}

/* Where the row has its texts they go with it. */
static size_t item_bytes(const struct handover_item *item)
{
	size_t texts = item->kind == HANDOVER_STREAM ? row_text_bytes(&item->row) : 0;

	if (texts <= ESTATE_TEXT_BYTES)
		return offsetof(struct handover_item, texts);
	return offsetof(struct handover_item, texts) +
	       (texts < ESTATE_LONG_TEXT_BYTES ? texts : ESTATE_LONG_TEXT_BYTES);
}

int handover_send(int fd, const struct handover_item *item)
{
	union {
		char space[CMSG_SPACE(HANDOVER_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = { .space = { 0 } };
	struct iovec piece = { (void *)(uintptr_t)item, item_bytes(item) };
	int fds[HANDOVER_FDS] = { item->client_fd, item->backend_fd };
	size_t fds_bytes = (item->kind == HANDOVER_STREAM ? 2 : 1) * sizeof(int);
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.space };
	struct cmsghdr *rights;

	message.msg_controllen = CMSG_SPACE(fds_bytes);
	rights = CMSG_FIRSTHDR(&message);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(fds_bytes);
	memcpy(CMSG_DATA(rights), fds, fds_bytes);
	return send_message(fd, &message);
}

/* How many there are; those beyond the room in fds do not come here. */
static size_t take_fds(struct msghdr *message, int fds[HANDOVER_FDS])
{
	size_t count = 0;

	for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at)) {
		if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS)
			continue;
		count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		count = count < HANDOVER_FDS ? count : HANDOVER_FDS;
		memcpy(fds, CMSG_DATA(at), count * sizeof(int));
	}
	return count;
}

/* Without room for a descriptor the kernel leaves it out (unix(7), MSG_CTRUNC). */
static bool is_sound(const struct handover_item *item, size_t len, size_t fd_count, int flags)
{
	if (len < offsetof(struct handover_item, texts) || flags & (MSG_TRUNC | MSG_CTRUNC))
		return false;
	if (item->kind != HANDOVER_CLIENT && item->kind != HANDOVER_STREAM)
		return false;
	return fd_count == (item->kind == HANDOVER_STREAM ? 2 : 1) && len == item_bytes(item);
}

int handover_receive(int fd, struct handover_item *ret_item)
{
	union {
		char space[CMSG_SPACE(HANDOVER_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = { .space = { 0 } };
	struct iovec piece = { ret_item, sizeof(*ret_item) };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = control.space,
				  .msg_controllen = sizeof(control.space) };
	int fds[HANDOVER_FDS] = { -1, -1 };
	size_t count;
	ssize_t len;

	ret_item->number = 0;
	do
		len = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	if (len <= 0)
		return len < 0 ? -errno : 0;
	count = take_fds(&message, fds);
	if (!is_sound(ret_item, (size_t)len, count, message.msg_flags)) {
		/* Who sent them has them as well. */
		for (size_t i = 0; i < count; i++)
			socket_close(fds[i]);
		return -EBADMSG;
	}
	ret_item->client_fd = fds[0];
	ret_item->backend_fd = fds[1];
	return 1;
}

static bool is_meant(int fd, uint64_t cookie)
{
	uint64_t its = 0;

	return socket_cookie(fd, &its) == 0 && its == cookie;
}

int handover_write_row(struct estate *estate, const struct handover_item *item)
{
	struct estate_stream *row = estate_stream(estate, item->client_fd);

	if (!row || item->backend_fd < 0 || item->backend_fd >= ESTATE_DESCRIPTORS)
		return -ERANGE;
	if (!is_meant(item->client_fd, item->row.client_cookie) ||
	    !is_meant(item->backend_fd, item->row.backend_cookie))
		return -ESTALE;
	*row = item->row;
	row->backend_fd = item->backend_fd;
	if (row_text_bytes(row) > ESTATE_TEXT_BYTES)
		memcpy(estate->long_texts[item->client_fd], item->texts, sizeof(item->texts));
	estate_mark(estate, item->backend_fd, ESTATE_MARK_BACKEND);
	estate_mark(estate, item->client_fd, estate_mark_of_kind(row->kind));
	return 0;
}

int handover_answer(int fd, const struct handover_answer *answer)
{
	return send_bytes(fd, answer, sizeof(*answer));
}

int handover_hear_answer(int fd, struct handover_answer *ret_answer)
{
	return receive_bytes(fd, ret_answer, sizeof(*ret_answer));
}
