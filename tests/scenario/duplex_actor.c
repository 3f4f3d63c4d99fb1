/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of a conversation, on sockets that the test has connected: bytes up from the client to the server
 * and down again, at the same time, in the pieces and with the pauses of a plan. Or a real-time process that
 * keeps a processor from everybody else, now and then.
 *
 *    duplex_actor play RESULT UP_FROM UP_TO DOWN_FROM DOWN_TO NUMBERS...    see struct plan
 *    duplex_actor starve RESULT CPU SEED
 *
 * RESULT is a file of struct result; the test reads it while the play goes on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	PERIOD = 65521,
	PIECE_MOST = 256 << 10,
	DOWN_OFFSET = 30011, /* of the bytes down: what comes back to its sender is not right by chance */
	MILLISECOND_US = 1000,
	SECOND_US = 1000000,
	TICK_US = 20 * MILLISECOND_US,
	PAUSE_LEAST_US = 200 * MILLISECOND_US,
	RT_PRIORITY = 50,
	RT_MOST_US = 400 * MILLISECOND_US,
	STARVE_MOST_S = 300,
};

/* LAST: when the reader on the same socket has seen the other FIN. */
enum end { END_NONE, END_FIN, END_FIN_LAST, END_RST };

/* All members are numbers of the command line, in this order. */
struct way {
	long bytes;
	long piece_least, piece_most;
	long send_after_us;
	long burst, burst_pause_us; /* after so many pieces */
	long end;
	long read_after_us, read_after_sent; /* sent: when the own sender is through */
	long read_most, reads, reads_pause_us;
};

struct plan {
	long seed;
	long warm; /* round trips of single bytes, before the clock is started */
	long is_counted; /* readers end with the last byte, not with the end of the connection */
	struct way ways[2];
};

struct result {
	_Atomic long sent[2], got[2];
	_Atomic long wrong_at[2]; /* + 1 */
	_Atomic long send_error[2], read_end[2]; /* errno; -1: FIN; -2: all bytes counted; -3: has left */
	_Atomic long took_us, waited_us; /* waited: for a processor */
	_Atomic long paused_us; /* nobody ran here: the machine stood still, or had other things to do */
};

struct actor {
	const struct way *way;
	int number, from, to; /* to: where this way is read */
	sem_t sent, ended;
	_Atomic int is_leaving; /* the reader of this way is to leave */
	pthread_t sender, reader;
};

static struct plan plan;
static struct result *result;
static struct actor actors[2];
static unsigned char pattern[PERIOD + PIECE_MOST];

static void make_pattern(void)
{
	for (unsigned long o = 0; o < sizeof(pattern); o++) {
		unsigned long r = (o + 1000) % PERIOD;

		pattern[o] = (unsigned char)(r * r % PERIOD * r % PERIOD >> 8);
	}
}

static const unsigned char *bytes_at(const struct actor *a, long offset)
{
	return pattern + (offset + a->number * DOWN_OFFSET) % PERIOD;
}

static long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SECOND_US + t.tv_nsec / 1000;
}

static void pause_us(long us)
{
	if (us > 0)
		usleep((useconds_t)us);
}

static unsigned long roll(uint64_t *dice)
{
	*dice ^= *dice << 13;
	*dice ^= *dice >> 7;
	*dice ^= *dice << 17;
	return *dice >> 11;
}

/* A machine that stands still tells nobody; but who wanted to sleep for 20 ms knows. */
static void *watch_pauses(void *unused)
{
	(void)unused;
	for (long before = now_us(), now;; before = now) {
		pause_us(TICK_US);
		now = now_us();
		if (now - before >= PAUSE_LEAST_US)
			result->paused_us += now - before;
	}
	return NULL;
}

/* Adds how long this thread was ready to run and had no processor. */
static void count_waiting(void)
{
	unsigned long long ran, waited;
	FILE *file = fopen("/proc/thread-self/schedstat", "r");

	if (!file)
		return;
	if (fscanf(file, "%llu %llu", &ran, &waited) == 2)
		result->waited_us += (long)(waited / 1000);
	fclose(file);
}

static struct actor *opposite(struct actor *a)
{
	return &actors[!a->number];
}

/* Waits for the reader on the same socket to leave: a close takes effect when nobody uses the descriptor. */
static void reset(struct actor *a)
{
	const struct linger linger = { 1, 0 };

	opposite(a)->is_leaving = 1;
	sem_wait(&opposite(a)->ended);
	setsockopt(a->from, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(a->from);
}

static void *send_all(void *argument)
{
	struct actor *a = argument;
	const struct way *w = a->way;
	uint64_t dice = (uint64_t)plan.seed * 2 + (uint64_t)a->number + 1;
	long at = result->sent[a->number], count = 0;

	pause_us(w->send_after_us);
	while (at < w->bytes) {
		long piece = w->piece_least + (long)(roll(&dice) % (w->piece_most - w->piece_least + 1ul));
		ssize_t n;

		if (piece > w->bytes - at)
			piece = w->bytes - at;
		n = send(a->from, bytes_at(a, at), (size_t)piece, MSG_NOSIGNAL);
		if (n < 0) {
			result->send_error[a->number] = errno;
			break;
		}
		result->sent[a->number] = at += n;
		if (++count % w->burst == 0)
			pause_us(w->burst_pause_us);
	}
	sem_post(&a->sent);
	if (w->end == END_FIN_LAST)
		sem_wait(&opposite(a)->ended);
	if (w->end == END_RST)
		reset(a);
	else if (w->end != END_NONE)
		shutdown(a->from, SHUT_WR);
	count_waiting();
	return NULL;
}

/*
 * Waits, then reads. -1 and EAGAIN: a lane may wake a reader for nothing, or limit_ms are over (-1: never). A
 * reader that waits in recv() itself would be left to TCP, and what follows would be no test of these lanes.
 */
static ssize_t receive(int fd, void *buffer, size_t size, int limit_ms)
{
	struct pollfd item = { .fd = fd, .events = POLLIN };

	poll(&item, 1, limit_ms);
	return recv(fd, buffer, size, MSG_DONTWAIT);
}

static ssize_t receive_patiently(int fd, void *buffer, size_t size)
{
	ssize_t n;

	do
		n = receive(fd, buffer, size, -1);
	while (n < 0 && errno == EAGAIN);
	return n;
}

static long read_all(struct actor *a, unsigned char *buffer)
{
	const struct way *w = a->way;
	/* Who is to leave looks from time to time whether it is time: reset(). */
	int limit_ms = opposite(a)->way->end == END_RST ? 20 : -1;
	long got = result->got[a->number];

	for (long count = 1; !plan.is_counted || got < w->bytes; count++) {
		ssize_t n = receive(a->to, buffer, w->read_most, limit_ms);

		if (n < 0 && errno == EAGAIN) {
			if (a->is_leaving)
				return -3;
			continue;
		}
		if (n <= 0)
			return n < 0 ? errno : -1;
		if (!result->wrong_at[a->number] && memcmp(buffer, bytes_at(a, got), n) != 0)
			result->wrong_at[a->number] = got + 1;
		result->got[a->number] = got += n;
		if (count % w->reads == 0)
			pause_us(w->reads_pause_us);
	}
	return -2;
}

static void *read_thread(void *argument)
{
	struct actor *a = argument;
	const struct way *w = a->way;
	unsigned char *buffer = malloc(w->read_most);

	if (w->read_after_sent)
		sem_wait(&opposite(a)->sent);
	pause_us(w->read_after_us);
	result->read_end[a->number] = read_all(a, buffer);
	sem_post(&a->ended);
	free(buffer);
	count_waiting();
	return NULL;
}

static void warm_up(void)
{
	unsigned char byte;

	for (long n = 0; n < plan.warm; n++) {
		for (struct actor *a = actors; a < actors + 2; a++) {
			if (n >= a->way->bytes)
				continue;
			if (send(a->from, bytes_at(a, n), 1, MSG_NOSIGNAL) != 1 ||
			    receive_patiently(a->to, &byte, 1) != 1)
				return;
			result->wrong_at[a->number] |= byte == *bytes_at(a, n) ? 0 : n + 1;
			result->sent[a->number] = result->got[a->number] = n + 1;
		}
		pause_us(20 * MILLISECOND_US);
	}
}

static void play(char **arguments, int count)
{
	long *numbers = (long *)&plan, start;
	pthread_t watch;

	for (int i = 0; i < 4; i++)
		*(i % 2 ? &actors[i / 2].to : &actors[i / 2].from) = atoi(arguments[i]);
	for (int i = 4; i < count && i - 4 < (int)(sizeof(plan) / sizeof(long)); i++)
		numbers[i - 4] = atol(arguments[i]);
	for (int i = 0; i < 2; i++) {
		actors[i].number = i;
		actors[i].way = &plan.ways[i];
		sem_init(&actors[i].sent, 0, 0);
		sem_init(&actors[i].ended, 0, 0);
	}
	pthread_create(&watch, NULL, watch_pauses, NULL);
	warm_up();
	start = now_us();
	for (int i = 0; i < 2; i++) {
		pthread_create(&actors[i].sender, NULL, send_all, &actors[i]);
		pthread_create(&actors[i].reader, NULL, read_thread, &actors[i]);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(actors[i].sender, NULL);
		pthread_join(actors[i].reader, NULL);
	}
	result->took_us = now_us() - start;
}

/* Never longer than 0.3 s at a time, half of all time at most; the kernel ends it if it were otherwise. */
static void starve(int cpu, uint64_t dice)
{
	const struct sched_param priority = { .sched_priority = RT_PRIORITY };
	const struct rlimit limit = { RT_MOST_US, RT_MOST_US };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	alarm(STARVE_MOST_S);
	if (setrlimit(RLIMIT_RTTIME, &limit) || sched_setaffinity(0, sizeof(set), &set) ||
	    sched_setscheduler(0, SCHED_FIFO, &priority))
		exit(1);
	for (;;) {
		long burst = (long)(5 + roll(&dice) % 296) * MILLISECOND_US, start = now_us();

		while (now_us() - start < burst)
			;
		result->took_us += burst;
		pause_us(burst + (long)(roll(&dice) % 200) * MILLISECOND_US);
	}
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[2]), 0);
	if (result == MAP_FAILED)
		return 1;
	if (strcmp(argv[1], "starve") == 0)
		starve(atoi(argv[3]), strtoull(argv[4], NULL, 10) + 1);
	make_pattern();
	play(argv + 3, argc - 3);
	return 0;
}
