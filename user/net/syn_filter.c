/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/syn_filter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "user/base/check.h"
#include "user/net/socket.h"

/* tcp_filter() passes the segment from the TCP header on; byte 13 holds the flags (RFC 9293 3.1). */
enum { TCP_FLAGS_AT = 13 };
/* Hosts send 64 or 128. A SYN with this value passes. */
enum { MOST_TTL = 255 };

int syn_filter_load(void)
{
	/* Packet loads take the context in r6 and leave the byte in r0. */
	static const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_1 },
		{ .code = BPF_LD | BPF_ABS | BPF_B, .imm = TCP_FLAGS_AT },
		{ .code = BPF_ALU64 | BPF_AND | BPF_K, .dst_reg = BPF_REG_0, .imm = TH_SYN | TH_ACK },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0, .imm = TH_SYN, .off = 2 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1 },
		{ .code = BPF_JMP | BPF_EXIT },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attributes = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insn_cnt = ARRAY_LEN(program),
		.insns = (uintptr_t)program,
		.license = (uintptr_t) "Apache-2.0",
		.prog_name = "headgate_bar",
	};
	long fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));

	return fd < 0 ? -errno : (int)fd;
}

static int attach_classic(int fd)
{
	static struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_FLAGS_AT),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TH_SYN | TH_ACK),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TH_SYN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	static const struct sock_fprog filter = { .len = ARRAY_LEN(program), .filter = program };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0 ? -errno : 0;
}

/*
 * A listening socket drops a SYN whose TTL is below this; the last segment of a handshake under way goes to
 * its request, which does not look (tcp_v4_rcv(), tcp_v6_rcv()). A connection inherits it. Needs no
 * privilege.
 */
static int set_least_ttl(int fd, int domain, int ttl)
{
	int error = setsockopt(fd, IPPROTO_IP, IP_MINTTL, &ttl, sizeof(ttl)) < 0 ? -errno : 0;

	if (!error && domain == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &ttl, sizeof(ttl)) < 0)
		error = -errno;
	return error;
}

int syn_filter_attach(int fd, int program)
{
	struct address local;
	int error = socket_local(fd, &local);

	if (error)
		return error;
	if (address_is_unix(&local))
		return -EOPNOTSUPP;
	if (program < 0) {
		error = attach_classic(fd);
		return error == -EPERM ? set_least_ttl(fd, local.any.sa_family, MOST_TTL) : error;
	}
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof(program)) < 0 ? -errno : 0;
}

void syn_filter_detach(int fd)
{
	int unused = 0; /* setsockopt() needs a value, the option does not */

	/* ENOENT: its handshake was complete before the filter was attached. */
	(void)setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused));
	/* An error: it is no IPv6 socket, or no TCP socket. */
	(void)set_least_ttl(fd, AF_INET6, 0);
}
