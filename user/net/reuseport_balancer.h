/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Assigns the new connections of a port to the sockets of its group in turn. By default the kernel chooses by
 * a hash of the addresses: of a few dozen connections, each busy for long, one worker may get half as many
 * again as the other, and its clients wait.
 *
 * Each port has its own turn, but ports with equal numbers modulo REUSEPORT_BALANCER_PORTS share one. When
 * the turn is at a socket that has left the group, the kernel uses the hash. The program is loaded while the
 * process has its capabilities; attaching it needs none (as in user/net/syn_filter.h).
 */
enum { REUSEPORT_BALANCER_PORTS = 256 };

/*
 * For groups of `count` sockets. Returns the program's descriptor, which the caller owns, or -errno (-EPERM
 * without CAP_BPF).
 */
int reuseport_balancer_load(unsigned int count);
/*
 * Attaches to the whole group of this listening TCP socket. program: from reuseport_balancer_load(),
 * borrowed. Returns 0, or -errno: then the kernel still uses the hash.
 */
int reuseport_balancer_attach(int fd, int program);
