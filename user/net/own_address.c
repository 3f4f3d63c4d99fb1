/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/own_address.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/net/socket.h"

struct question {
	struct nlmsghdr header;
	struct rtmsg route;
	struct rtattr attribute;
	unsigned char host[16];
};

/* The kernel's answer has some attributes, of which none is read. */
union answer {
	struct nlmsghdr header;
	char bytes[4096];
};

static int question_of(const struct address *address, struct question *ret)
{
	bool is_v4 = address->any.sa_family == AF_INET;
	size_t len = is_v4 ? sizeof(address->v4.sin_addr) : sizeof(address->v6.sin6_addr);

	if (!is_v4 && address->any.sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	*ret = (struct question){
		.header = { .nlmsg_len = (uint32_t)(offsetof(struct question, host) + len),
			    .nlmsg_type = RTM_GETROUTE,
			    .nlmsg_flags = NLM_F_REQUEST },
		.route = { .rtm_family = (unsigned char)address->any.sa_family,
			   .rtm_dst_len = (unsigned char)(8 * len) },
		.attribute = { .rta_len = (unsigned short)RTA_LENGTH(len), .rta_type = RTA_DST },
	};
	memcpy(ret->host, is_v4 ? (const void *)&address->v4.sin_addr : &address->v6.sin6_addr, len);
	return 0;
}

static int read_answer(const union answer *answer, size_t len)
{
	const struct nlmsghdr *header = &answer->header;
	const struct nlmsgerr *error = NLMSG_DATA(header);
	const struct rtmsg *route = NLMSG_DATA(header);

	if (len < NLMSG_LENGTH(sizeof(*route)))
		return -EBADMSG;
	if (header->nlmsg_type == NLMSG_ERROR && len >= NLMSG_LENGTH(sizeof(error->error)))
		return error->error == -ENETUNREACH || error->error == -EHOSTUNREACH ? 0
		       : error->error						     ? error->error
										     : -EBADMSG;
	if (header->nlmsg_type != RTM_NEWROUTE)
		return -EBADMSG;
	return route->rtm_type == RTN_LOCAL || route->rtm_type == RTN_BROADCAST ||
	       route->rtm_type == RTN_ANYCAST || route->rtm_type == RTN_MULTICAST;
}

/* The answer is in the queue when send(2) returns. */
static int ask(int fd, const struct question *question)
{
	union answer answer;
	ssize_t len = send(fd, question, question->header.nlmsg_len, 0);

	if (len >= 0)
		len = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);
	return len < 0 ? -errno : read_answer(&answer, (size_t)len);
}

int own_address_has(const struct address *address)
{
	struct address plain = *address;
	struct question question;
	int fd, result;

	address_unmap(&plain);
	result = question_of(&plain, &question);
	if (result)
		return result;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	result = ask(fd, &question);
	socket_close(fd);
	return result;
}
