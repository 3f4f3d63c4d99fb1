/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/server.h"
#include "tests/origin/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 4096
#define SLOW_READER_BUFFER 65536
/*
 * Accepted sockets inherit the limit. Without it a slow reader uses 4 MiB of kernel memory, and a thousand
 * of them all there is.
 */
#define UNSENT_BYTES (256 * 1024)

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
};

static socklen_t address_size(const union address *address)
{
	switch (address->any.sa_family) {
	case AF_INET:
		return sizeof(address->v4);
	case AF_INET6:
		return sizeof(address->v6);
	default:
		return sizeof(address->local);
	}
}

static bool address_make(const struct options *options, union address *ret)
{
	union address address = { 0 };
	char text[INET6_ADDRSTRLEN];
	const char *addr = options->addr ? options->addr : "::";
	size_t size = strlen(addr);

	if (options->unix_path) {
		address.local.sun_family = AF_UNIX;
		if (strlen(options->unix_path) >= sizeof(address.local.sun_path))
			return false;
		memcpy(address.local.sun_path, options->unix_path, strlen(options->unix_path));
		*ret = address;
		return true;
	}
	if (size >= sizeof(text))
		return false;
	memcpy(text, addr, size + 1);
	if (size > 2 && text[0] == '[' && text[size - 1] == ']') {
		memmove(text, text + 1, size - 2);
		text[size - 2] = '\0';
	}
	if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1) {
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons((uint16_t)options->port);
	} else if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons((uint16_t)options->port);
	} else {
		return false;
	}
	*ret = address;
	return true;
}

/* Returns the listening socket, or -errno. */
static int listen_open(const struct options *options, const union address *address, bool is_shared)
{
	int on = 1, off = 0, size = SLOW_READER_BUFFER, unsent = UNSENT_BYTES, error;
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (address->any.sa_family != AF_UNIX) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
		if (is_shared)
			setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
		if (address->any.sa_family == AF_INET6 && !options->addr)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	}
	if (options->rate_bytes_per_s > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, &address->any, address_size(address)) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

static void address_print(const struct options *options, int fd)
{
	union address address = { 0 };
	socklen_t size = sizeof(address);
	char text[INET6_ADDRSTRLEN] = "";

	if (options->unix_path) {
		printf("listening on unix:%s\n", options->unix_path);
	} else {
		getsockname(fd, &address.any, &size);
		if (address.any.sa_family == AF_INET6) {
			inet_ntop(AF_INET6, &address.v6.sin6_addr, text, sizeof(text));
			printf("listening on [%s]:%u\n", text, ntohs(address.v6.sin6_port));
		} else {
			inet_ntop(AF_INET, &address.v4.sin_addr, text, sizeof(text));
			printf("listening on %s:%u\n", text, ntohs(address.v4.sin_port));
		}
	}
	fflush(stdout);
}

/* A first socket without SO_REUSEPORT detects a port that is taken, and gets a free one for port 0. */
static int listen_first(const struct options *options, union address *address)
{
	int fd = listen_open(options, address, false);
	socklen_t size = sizeof(*address);

	if ((fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) && !options->addr && !options->unix_path) {
		*address = (union address){ .v4 = { .sin_family = AF_INET } };
		address->v4.sin_port = htons((uint16_t)options->port);
		fd = listen_open(options, address, false);
	}
	if (fd >= 0 && !options->unix_path)
		getsockname(fd, &address->any, &size);
	if (fd < 0 || options->workers == 1 || options->unix_path)
		return fd;
	close(fd);
	return listen_open(options, address, true);
}

bool server_start(const struct options *options)
{
	struct worker *all = calloc(options->workers, sizeof(*all));
	struct rlimit files;
	union address address;
	int fd, error = 0;

	if (!address_make(options, &address)) {
		fprintf(stderr,
			"httpbin: cannot listen on \"%s\": write a numeric address, or a short path\n",
			options->unix_path ? options->unix_path : options->addr);
		free(all);
		return false;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (options->unix_path)
		unlink(options->unix_path);
	fd = listen_first(options, &address);
	if (fd < 0 || !all) {
		fprintf(stderr, "httpbin: cannot listen on port %u: %s\n", options->port,
			strerror(fd < 0 ? -fd : ENOMEM));
		free(all);
		return false;
	}
	for (unsigned i = 0; i < options->workers && error == 0; i++) {
		int own = i == 0 || options->unix_path ? fd : listen_open(options, &address, true);

		error = own < 0 ? own : worker_start(&all[i], options, own);
	}
	if (error) {
		fprintf(stderr, "httpbin: cannot start: %s\n", strerror(-error));
		return false;
	}
	address_print(options, fd);
	return true;
}
