/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/stat.h>

#include "user/net/address.h"

/*
 * Opens listening sockets, in the main thread: one for each worker and bound address, to be passed to
 * net_listener_start().
 *
 * SO_REUSEPORT distributes connections over the workers' sockets, but would also share the port with any
 * other program of the same user. So the first socket of a group binds without it, which fails while another
 * program listens, and sets it afterwards for the others. One case remains: another SO_REUSEPORT program of
 * the same user that starts later can still join; no option of the kernel prevents that.
 *
 * A port may be open on several addresses, each with its own group. Of those that match a connection the
 * kernel takes the most specific one: an address before a wildcard, 0.0.0.0 before [::]. But a bind(2)
 * without SO_REUSEPORT fails while a wildcard of the same port listens, or to a wildcard while any address of
 * the port does. So open the addresses of a port first and its wildcard last, with NET_LISTEN_BESIDE.
 */
enum net_listen_flag {
	/*
	 * This process listens on another address of the port. A program of the same user that listens with
	 * SO_REUSEPORT is not noticed then.
	 */
	NET_LISTEN_BESIDE = 1u << 0,
	/* No interface needs to have the address yet (ip(7): IP_FREEBIND). */
	NET_LISTEN_ABSENT = 1u << 1,
};

/*
 * Opens `count` (> 0) sockets that listen on one address. With port 0 the kernel chooses one port for all of
 * them; *ret_local (may be NULL) gets the address. [::] accepts IPv4, too (IPV6_V6ONLY off). A Unix path has
 * only one socket: count == 1, mode NET_LISTEN_UNIX_MODE, and no flags. The caller owns the descriptors.
 * Returns 0, or -errno with nothing left open and ret_fds undefined; net_listen_explain() describes the
 * error.
 */
int net_listen_open_group(const struct address *address, int backlog, unsigned int flags, unsigned int count,
			  int *ret_fds, struct address *ret_local);
/* A group of one. */
int net_listen_open(const struct address *address, int backlog, int *ret_fd);

#define NET_LISTEN_UNIX_MODE 0660
/*
 * Opens a Unix listener. A socket file without a listener is replaced; one in use is -EADDRINUSE; any other
 * kind of file is left alone, -EEXIST. The file never has more permissions than `mode`, whatever the umask,
 * and has exactly these on return. If two programs start on one path at the same moment, the later one gets
 * it.
 */
int net_listen_open_unix(const struct address *address, mode_t mode, int backlog, int *ret_fd);
/* Removes the file of a stopped Unix listener; no effect for other addresses. */
void net_listen_unlink(const struct address *address);
/* Appends "cannot listen on [::]:80: ...": what is wrong and what to do. error: from the functions above. */
void net_listen_explain(const struct address *address, int error, struct text *out);
