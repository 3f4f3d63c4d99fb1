/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Deals the new connections of a port to the sockets of its group in turn. Left to itself the kernel chooses
 * by a hash of the addresses: of a few dozen connections, each busy for long, one worker has half as many
 * again as the other, and is what its clients wait for.
 *
 * In turn for each port by itself, but for those whose numbers are equal modulo DEALER_PORTS. Turns of a
 * socket that has left its group go by the hash. The program is loaded while the process still has its
 * capabilities, and may be attached by everybody (as user/net/syn_filter.h).
 */
enum { DEALER_PORTS = 256 };

/*
 * For groups of `count` sockets. The program's descriptor, the caller's, or -errno (-EPERM without CAP_BPF).
 */
int dealer_load(unsigned int count);
/*
 * To the whole group that the listening TCP socket is of. program: of dealer_load(), borrowed. 0, or -errno:
 * then the kernel goes on by hash.
 */
int dealer_attach(int fd, int program);
