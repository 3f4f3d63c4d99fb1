/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Keeps new handshakes out of a listening socket that is to be closed, with a socket filter: a SYN is
 * dropped, not refused, so its sender repeats it after 1 s (RFC 6298 2) and then meets whoever owns the port,
 * or nobody. Handshakes under way complete and reach the queue.
 *
 * Kernels differ in who may attach a classic filter: some let everybody, some want CAP_NET_ADMIN. A program
 * that was loaded before may be attached by everybody. So the program is loaded while the process still has
 * its capabilities; without it a classic filter is tried.
 */

/*
 * The program's descriptor, the caller's, or -errno (-EPERM without CAP_BPF: then syn_filter_attach(-1) may
 * do).
 */
int syn_filter_load(void);
/*
 * On a listening TCP socket. program: of syn_filter_load(), borrowed; negative: without one. Idempotent. 0,
 * -EOPNOTSUPP for a Unix socket, -EPERM when the kernel does not allow it, -ENOMEM, or -errno.
 */
int syn_filter_attach(int fd, int program);
/*
 * Takes the filter off a connection that was accepted from a barred socket and inherited it: it would drop
 * the SYN of a peer that has lost the connection, which ought to be told (RFC 5961 4).
 */
void syn_filter_detach(int fd);
