/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/reuseport_balancer.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "user/base/check.h"
#include "user/net/socket.h"

enum {
	IPV6_HEADER_BYTES = 40,
	PORT_AT = 2, /* offset of the destination port in a TCP header */
	NOBODY = -1, /* no socket of the group: the kernel uses its hash */
};

/* A counter for each port: connections assigned so far. */
static int turns_create(void)
{
	union bpf_attr attributes = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = sizeof(uint32_t),
		.value_size = sizeof(uint32_t),
		.max_entries = REUSEPORT_BALANCER_PORTS,
		.map_name = "headgate_turns",
	};
	long fd = syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes));

	return fd < 0 ? -errno : (int)fd;
}

static int program_load(int turns, unsigned int count)
{
	/* Packet loads take the context in r6 and leave their result in r0. */
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_1 },
		/* r7 = length of the IP header: from its first byte, or that of IPv6 */
		{ .code = BPF_LD | BPF_ABS | BPF_B, .imm = SKF_NET_OFF },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_7, .src_reg = BPF_REG_0 },
		{ .code = BPF_ALU64 | BPF_AND | BPF_K, .dst_reg = BPF_REG_7, .imm = 0x0f },
		{ .code = BPF_ALU64 | BPF_LSH | BPF_K, .dst_reg = BPF_REG_7, .imm = 2 },
		{ .code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = BPF_REG_0, .imm = 4 },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0, .imm = 4, .off = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_7, .imm = IPV6_HEADER_BYTES },
		/* r0 = port */
		{ .code = BPF_LD | BPF_IND | BPF_H, .src_reg = BPF_REG_7, .imm = SKF_NET_OFF + PORT_AT },
		/* r0 = its index in the map */
		{ .code = BPF_ALU64 | BPF_AND | BPF_K,
		  .dst_reg = BPF_REG_0,
		  .imm = REUSEPORT_BALANCER_PORTS - 1 },
		{ .code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .src_reg = BPF_REG_0, .off = -4 },
		{ .code = BPF_LD | BPF_IMM | BPF_DW,
		  .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = turns },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -4 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem },
		{ .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = BPF_REG_0, .imm = 0, .off = 2 },
		{ .code = BPF_ALU | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = NOBODY },
		{ .code = BPF_JMP | BPF_EXIT },
		/* the socket that is next */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = 1 },
		{ .code = BPF_STX | BPF_ATOMIC | BPF_W,
		  .dst_reg = BPF_REG_0,
		  .src_reg = BPF_REG_1,
		  .imm = BPF_ADD | BPF_FETCH },
		{ .code = BPF_ALU | BPF_MOD | BPF_K, .dst_reg = BPF_REG_1, .imm = (int32_t)count },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attributes = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insn_cnt = ARRAY_LEN(program),
		.insns = (uintptr_t)program,
		.license = (uintptr_t) "Apache-2.0",
		.prog_name = "headgate_deal",
	};
	long fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));

	return fd < 0 ? -errno : (int)fd;
}

int reuseport_balancer_load(unsigned int count)
{
	int turns, program;

	CHECK(count > 0);
	turns = turns_create();
	if (turns < 0)
		return turns;
	program = program_load(turns, count);
	socket_close(turns); /* the program keeps it open */
	return program;
}

int reuseport_balancer_attach(int fd, int program)
{
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof(program)) < 0 ? -errno
												   : 0;
}
