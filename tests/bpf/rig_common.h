/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "user/base/text.h"

/* What the gateways of both kinds of lanes (rig.h, local_rig.h) and their tests share. */

struct bpf_object;

uint64_t now_ms(void);
uint64_t now_ns(void);
uint32_t random_u32(uint64_t *state);

/*
 * Ends the running test as skipped, loudly; as failed with HG_REQUIRE_BPF=1 or HG_REQUIRE naming bpf or all.
 */
void rig_skip(const char *reason);
/* The same where an error stands between this host and `what`. Frees `why`. */
void rig_need(int error, const char *what, struct text *why);

/*
 * How long to wait for what has to come: 10 s and 40 times as long as given, unless the test has taken out
 * the rule that makes it come. What is to fail should fail soon, what is to hold returns as soon as it does.
 */
int rig_patience_ms(int ms);
extern bool rig_is_impatient;

enum { FILL_LIMIT_MS = 30000 }; /* for a test that fills buffers */

/* before_load of a broken object: arg is the uint32_t with the rules to be off. */
void rig_break(struct bpf_object *object, void *arg);

/* ---- connections on loopback; buffer sizes 0: the kernel's own choice, autotuned */
void set_blocking(int fd, bool is_blocking);
int rig_listen(int family, struct sockaddr_storage *ret_address, int receive, int send);
int rig_socket(int family, int receive, int send);
/* Makes fd non-blocking and connects it, as an application has to that wants the same-host lanes. */
void rig_connect_to(int fd, const struct sockaddr_storage *address);
/* Connects fd and returns what accept() gives; both without delay and non-blocking. */
int rig_accept(int fd, int listener, const struct sockaddr_storage *address);
/* ret_fds[0] connected, ret_fds[1] accepted */
void rig_connect(int family, int ret_fds[2], int connect_receive, int connect_send, int accept_receive,
		 int accept_send);
void rig_close(int *fd); /* and -1 */
/* From now on this process is in a network namespace of its own, with loopback alone. Needs root. */
void rig_enter_network(void);
void rig_reset(int *fd); /* closes with RST */

/* ---- programs, maps and links in the kernel, as other tools show them */
uint32_t rig_program_id(int program_fd);
uint32_t rig_link_id(int link_fd);
/* The kernel frees them a moment after their last user: within 20 seconds. */
bool rig_is_gone(int (*get_fd)(uint32_t id), uint32_t id);
int rig_count_elements(int map_fd); /* keys of 64 bits */
/* Runs a child that reports `size` bytes, and kills it a little later. */
void rig_kill(void (*run)(int report_fd), void *ret_report, size_t size, uint64_t *random);
