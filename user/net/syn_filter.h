/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Keeps new handshakes out of a listening socket that will be closed, with a socket filter: a SYN is dropped,
 * not refused, so the client repeats it after 1 s (RFC 6298 2) and then reaches the next owner of the port,
 * or a closed port. Handshakes under way complete and are queued.
 *
 * Kernels differ in who may attach a classic filter: some allow every process, some need CAP_NET_ADMIN. Every
 * process may attach a program that was loaded before. So the program is loaded while the process has its
 * capabilities; without it, a classic filter is tried, and where that is not allowed a least TTL (RFC 5082),
 * which does not keep out a peer that sends 255.
 */

/*
 * Returns the program's descriptor, which the caller owns, or -errno (-EPERM without CAP_BPF: then
 * syn_filter_attach(-1) may work).
 */
int syn_filter_load(void);
/*
 * Attaches to a listening TCP socket. program: from syn_filter_load(), borrowed; negative: none. Idempotent.
 * Returns 0, -EOPNOTSUPP for a Unix socket, -ENOMEM, or -errno.
 */
int syn_filter_attach(int fd, int program);
/*
 * Removes the inherited filter or least TTL from a connection accepted from such a socket: it would drop the
 * SYN of a peer that has lost the connection, which must get a response (RFC 5961 4).
 */
void syn_filter_detach(int fd);
