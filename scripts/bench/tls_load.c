/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients of TLS for tls.py: tls_load PORT full|resumed 1.2|1.3 SECONDS THREADS makes handshakes as fast as
 * it can, each on a connection of its own that ends with close_notify on both sides, and prints how many.
 * tls_load PORT hold 1.2|1.3 COUNT keeps so many connections after a request each, prints "held" and waits
 * for the end of its standard input.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char request[] = "GET /bytes/1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
static int port;
static int version;
static bool resumes;
static double end_s;
static atomic_long made, failed, resumed;

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static SSL *open_one(SSL_CTX *context, SSL_SESSION *session)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int one = 1;
	SSL *ssl;

	if (fd < 0)
		return NULL;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		close(fd);
		return NULL;
	}
	ssl = SSL_new(context);
	SSL_set_fd(ssl, fd);
	SSL_set_tlsext_host_name(ssl, "localhost");
	if (session)
		SSL_set_session(ssl, session);
	if (SSL_connect(ssl) == 1)
		return ssl;
	SSL_free(ssl);
	close(fd);
	return NULL;
}

/* Both sides have said the end: the peer has done its part of the handshake. */
static void close_one(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);
	char rest[4096];

	SSL_shutdown(ssl);
	shutdown(fd, SHUT_WR);
	while (read(fd, rest, sizeof(rest)) > 0)
		;
	SSL_free(ssl);
	close(fd);
}

static bool ask(SSL *ssl)
{
	char answer[8192];

	return SSL_write(ssl, request, sizeof(request) - 1) > 0 && SSL_read(ssl, answer, sizeof(answer)) > 0;
}

static SSL_CTX *make_context(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_min_proto_version(context, version);
	SSL_CTX_set_max_proto_version(context, version);
	SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	return context;
}

/* A session to go on with; behind an answer, where TLS 1.3 has sent its ticket. */
static SSL_SESSION *first_session(SSL_CTX *context)
{
	SSL *ssl = open_one(context, NULL);
	SSL_SESSION *session;

	if (!ssl || !ask(ssl)) {
		fprintf(stderr, "tls_load: the first connection failed\n");
		exit(1);
	}
	session = SSL_get1_session(ssl);
	close_one(ssl);
	return session;
}

static void *hammer(void *unused)
{
	SSL_CTX *context = make_context();
	SSL_SESSION *session = resumes ? first_session(context) : NULL;

	while (now_s() < end_s) {
		SSL *ssl = open_one(context, session);

		if (!ssl) {
			atomic_fetch_add(&failed, 1);
			usleep(1000);
			continue;
		}
		atomic_fetch_add(&resumed, SSL_session_reused(ssl));
		close_one(ssl);
		atomic_fetch_add(&made, 1);
	}
	SSL_SESSION_free(session);
	SSL_CTX_free(context);
	return unused;
}

static int hold(int count)
{
	struct rlimit most;
	SSL_CTX *context = make_context();

	getrlimit(RLIMIT_NOFILE, &most);
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_NOFILE, &most);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	for (int i = 0; i < count; i++) {
		SSL *ssl = open_one(context, NULL);

		if (!ssl || !ask(ssl)) {
			fprintf(stderr, "tls_load: connection %d failed\n", i);
			return 1;
		}
	}
	puts("held");
	fflush(stdout);
	return getchar() == EOF ? 0 : 1;
}

int main(int argc, char **argv)
{
	enum { MAX_THREADS = 64 };
	pthread_t list[MAX_THREADS];
	double begin;
	int threads;

	if (argc < 5)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	port = atoi(argv[1]);
	version = strcmp(argv[3], "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
	if (strcmp(argv[2], "hold") == 0)
		return hold(atoi(argv[4]));
	resumes = strcmp(argv[2], "resumed") == 0;
	threads = argc > 5 ? atoi(argv[5]) : 1;
	if (threads < 1 || threads > MAX_THREADS)
		return 2;
	begin = now_s();
	end_s = begin + atof(argv[4]);
	for (int i = 0; i < threads; i++)
		pthread_create(&list[i], NULL, hammer, NULL);
	for (int i = 0; i < threads; i++)
		pthread_join(list[i], NULL);
	printf("%ld %ld %ld %.3f\n", made, resumed, failed, now_s() - begin);
	return 0;
}
