/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bpf/traffic.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bpf/actor.h"
#include "user/kernel/common/tcp_progress.h"

bool send_all(struct rig *rig, int fd, const char *bytes, size_t len)
{
	uint64_t until = now_ms() + 20000;

	while (len > 0 && now_ms() < until) {
		ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent > 0) {
			bytes += sent;
			len -= (size_t)sent;
		} else if (errno != EAGAIN) {
			return false;
		}
		rig_turn(rig, 0);
	}
	return len == 0;
}

uint64_t send_until_full(struct rig *rig, int fd, uint64_t seed, uint64_t position, uint64_t max,
			 uint64_t quiet_ms)
{
	char piece[16384];
	uint64_t start = position, quiet_turns = 0, until = now_ms() + FILL_LIMIT_MS;

	/* Turns that moved nothing are counted, not the time: in that the test itself may not have run. */
	while (position - start < max && quiet_turns < quiet_ms && now_ms() < until) {
		pattern_fill(piece, seed, position, sizeof(piece));
		ssize_t sent = send(fd, piece, sizeof(piece), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0) {
			position += (uint64_t)sent;
			quiet_turns = 0;
			rig_turn(rig, 0);
		} else {
			uint64_t turn_ms = now_ms();

			rig_turn(rig, 1);
			quiet_turns += now_ms() > turn_ms;
		}
	}
	return position - start;
}

size_t receive_some(struct rig *rig, int fd, char *bytes, size_t len, int limit_ms)
{
	uint64_t until = now_ms() + (uint64_t)limit_ms;
	size_t have = 0;

	do {
		ssize_t got = recv(fd, bytes + have, len - have, MSG_DONTWAIT);

		if (got > 0)
			have += (size_t)got;
		else if (got == 0 || errno != EAGAIN)
			break;
		rig_turn(rig, got > 0 ? 0 : 1);
	} while (have < len && now_ms() < until);
	return have;
}

void expect(struct rig *rig, int fd, uint64_t seed, uint64_t position, size_t len)
{
	static char bytes[200000];

	assert_int_equal(receive_some(rig, fd, bytes, len, 20000), len);
	assert_int_equal(pattern_check(bytes, seed, position, len), -1);
}

void expect_nothing(struct rig *rig, int fd)
{
	char byte;

	assert_int_equal(receive_some(rig, fd, &byte, 1, 3), 0);
}

void send_pattern(struct rig *rig, int fd, uint64_t seed, uint64_t position, size_t len)
{
	static char bytes[200000];

	pattern_fill(bytes, seed, position, len);
	assert_true(send_all(rig, fd, bytes, len));
}

bool read_pattern(struct rig *rig, int fd, uint64_t seed, uint64_t position, uint64_t len)
{
	char piece[16384];

	while (len > 0) {
		size_t want = len < sizeof(piece) ? (size_t)len : sizeof(piece);
		size_t got = receive_some(rig, fd, piece, want, rig_patience_ms(300));

		if (got == 0 || pattern_check(piece, seed, position, got) >= 0)
			return false;
		position += got;
		len -= got;
	}
	return true;
}

bool says(struct rig *rig, int fd, const char *text)
{
	char bytes[256] = "";
	size_t got = receive_some(rig, fd, bytes, strlen(text), rig_patience_ms(150));

	return got == strlen(text) && memcmp(bytes, text, got) == 0;
}

bool is_silent(struct rig *rig, int fd)
{
	char bytes[64];

	return receive_some(rig, fd, bytes, sizeof(bytes), 20) == 0;
}

bool put(struct rig *rig, int fd, const char *text)
{
	return send_all(rig, fd, text, strlen(text));
}

void await_unread(int fd, int count)
{
	int unread = 0;

	for (int i = 0; i < 10000 && unread < count; i++) {
		assert_int_equal(ioctl(fd, SIOCINQ, &unread), 0);
		usleep(1000);
	}
	assert_int_equal(unread, count);
}

void await_received(struct rig *rig, int fd, uint64_t bytes)
{
	struct tcp_progress_view view = { 0 };

	for (int i = 0; i < 10000 && view.received_bytes < bytes; i++) {
		rig_turn(rig, 1);
		assert_int_equal(tcp_progress_look(fd, &view), 0);
	}
	assert_int_equal(view.received_bytes, bytes);
}

/* The reader has read all that has arrived, and the client has more. */
static bool is_starving(const struct rig_stream *stream, uint64_t done)
{
	struct tcp_progress_view view;
	int queued = 0;

	assert_int_equal(ioctl(stream->client, SIOCOUTQ, &queued), 0);
	return queued > 0 && tcp_progress_look(stream->front, &view) == 0 && view.received_bytes == done;
}

int carry_stalls(struct rig_stream *stream, uint64_t bytes, int enough)
{
	enum { STALL_TURNS = 25 };
	struct actor writer = { .shuts_down = true };
	struct actor reader = { .expects_eof = true };
	uint64_t last = 0, until = now_ms() + 60000;
	int stalls = 0, quiet_turns = 0;

	actor_read(&reader, stream->server, 12, bytes, 65536);
	actor_write(&writer, stream->client, 12, bytes, 65536);
	while (!reader.is_finished && stalls < enough && now_ms() < until) {
		uint64_t turn_ms = now_ms(), done;

		rig_turn(stream->rig, 1);
		done = __atomic_load_n(&reader.done, __ATOMIC_RELAXED);
		if (done != last || !is_starving(stream, done))
			quiet_turns = 0;
		else if (now_ms() > turn_ms && ++quiet_turns == STALL_TURNS)
			stalls++;
		last = done;
	}
	/* Whoever is blocked in send() or recv() gets out. */
	shutdown(stream->client, SHUT_RDWR);
	shutdown(stream->server, SHUT_RDWR);
	actor_join(&reader);
	actor_join(&writer);
	assert_int_equal(reader.wrong_at, -1);
	assert_true(stalls >= enough || reader.done == bytes);
	return stalls;
}

void stay_on(const cpu_set_t *allowed, bool is_first)
{
	cpu_set_t one;
	int found = -1;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, allowed) && (found < 0 || !is_first))
			found = cpu;
	}
	CPU_ZERO(&one);
	CPU_SET(found, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

static void *starver_run(void *arg)
{
	struct starver *starver = arg;
	struct sched_param fifo = { .sched_priority = 50 };
	static const char bytes[65536];
	uint64_t until;

	sched_setscheduler(0, SCHED_FIFO, &fifo);
	for (int i = 0; i < 4; i++)
		(void)send(starver->fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
	atomic_store(&starver->has_sent, true);
	for (until = now_ms() + (uint64_t)starver->ms; now_ms() < until;)
		;
	return NULL;
}

void starver_start(struct starver *starver, const cpu_set_t *allowed)
{
	stay_on(allowed, false);
	assert_int_equal(pthread_create(&starver->thread, NULL, starver_run, starver), 0);
	stay_on(allowed, true);
}
