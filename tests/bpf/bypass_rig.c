/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bpf/bypass_rig.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "tests/bpf/actor.h"
#include "user/kernel/local/local_worker.h"

#define PAIRS_MAX 8

static struct bypass_pair *pairs[PAIRS_MAX]; /* started, not closed */

static struct bypass_pair **pair_find(int own_fd)
{
	for (int i = 0; i < PAIRS_MAX; i++)
		if (pairs[i] && pairs[i]->own == own_fd)
			return &pairs[i];
	return NULL;
}

void pair_open(struct local *local, struct bypass_pair *pair, const struct bypass_pair_options *o)
{
	bool is_backend = o->is_backend;
	int family = o->family ? o->family : AF_INET;
	struct sockaddr_storage address;
	int listener = rig_listen(family, &address, is_backend ? o->app_receive : o->own_receive,
				  is_backend ? o->app_send : o->own_send);
	int active = rig_socket(family, is_backend ? o->own_receive : o->app_receive,
				is_backend ? o->own_send : o->app_send);
	int passive;

	*pair = (struct bypass_pair){ .local = local, .is_tcp = o->is_tcp };
	if (is_backend && !o->is_tcp)
		assert_int_equal(local_announce(local, active), 0);
	if (!is_backend && !o->is_tcp)
		assert_int_equal(local_listener_add(local, (struct sockaddr *)&address), 0);
	passive = rig_accept(active, listener, &address);
	if (!is_backend && !o->is_tcp)
		assert_int_equal(local_listener_remove(local, (struct sockaddr *)&address), 0);
	close(listener);
	pair->own = is_backend ? active : passive;
	pair->app = is_backend ? passive : active;
	if (!o->is_tcp && !o->is_late)
		pair_start(pair);
}

static bool is_ready(int fd, short events, int limit_ms)
{
	struct pollfd item = { .fd = fd, .events = events };

	return poll(&item, 1, limit_ms) > 0;
}

static void pair_on_room(struct bypass *bypass)
{
	((struct bypass_pair *)bypass->owner)->tells++;
}

void pair_start(struct bypass_pair *pair)
{
	int free_place = 0;

	while (pairs[free_place])
		assert_true(++free_place < PAIRS_MAX);
	assert_int_equal(local_worker_create(pair->local, &pair->worker), 0);
	assert_int_equal(bypass_start(&pair->bypass, pair->worker, pair->own), 0);
	pair->bypass.on_room = pair_on_room;
	pair->bypass.owner = pair;
	pairs[free_place] = pair;
}

static void pair_stop(struct bypass_pair *pair)
{
	struct bypass_pair **place = pair_find(pair->own);

	bypass_stop(&pair->bypass);
	local_worker_free(pair->worker);
	pair->worker = NULL;
	if (place)
		*place = NULL;
}

void pair_close_own(struct bypass_pair *pair)
{
	bool must_reset = !pair->is_tcp && bypass_has_unread(pair->own);

	pair_stop(pair);
	if (must_reset)
		rig_reset(&pair->own);
	else
		rig_close(&pair->own);
}

void pair_close(struct bypass_pair *pair)
{
	pair_stop(pair);
	rig_close(&pair->own);
	rig_close(&pair->app);
}

bool pair_await_room(int own_fd)
{
	struct bypass_pair **place = pair_find(own_fd);
	struct bypass_pair *pair;
	uint64_t tells;

	if (!place)
		return false;
	pair = *place;
	tells = pair->tells;
	if (bypass_refusals(&pair->bypass) == pair->refusals)
		return false;
	pair->refusals = bypass_refusals(&pair->bypass);
	if (bypass_leave(&pair->bypass))
		return true;
	if (!bypass_waits(&pair->bypass)) {
		bypass_wait(&pair->bypass);
		return true;
	}
	return is_ready(local_worker_fd(pair->worker), POLLIN, PAIR_WAIT_MS) &&
	       (local_worker_poll(pair->worker), pair->tells > tells);
}

void pair_send(int fd, uint64_t seed, uint64_t position, size_t len)
{
	char piece[65536];

	while (len > 0) {
		size_t want = len < sizeof(piece) ? len : sizeof(piece);
		ssize_t sent;

		pattern_fill(piece, seed, position, want);
		sent = send(fd, piece, want, MSG_DONTWAIT | MSG_NOSIGNAL);
		assert_true(sent > 0 || (errno == EAGAIN && is_ready(fd, POLLOUT, PAIR_WAIT_MS)) ||
			    (errno == EPIPE && pair_await_room(fd)));
		if (sent < 0)
			continue;
		position += (uint64_t)sent;
		len -= (size_t)sent;
	}
}

uint64_t pair_fill(int fd, uint64_t seed, uint64_t position, uint64_t max)
{
	char piece[16384];
	uint64_t start = position;

	while (position - start < max) {
		ssize_t sent;

		pattern_fill(piece, seed, position, sizeof(piece));
		sent = send(fd, piece, sizeof(piece), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && (errno == EPIPE || !is_ready(fd, POLLOUT, 200)))
			break;
		position += sent > 0 ? (uint64_t)sent : 0;
	}
	return position - start;
}

bool pair_expect(int fd, uint64_t seed, uint64_t position, uint64_t len)
{
	static char piece[65536];

	while (len > 0) {
		ssize_t got =
			recv(fd, piece, len < sizeof(piece) ? (size_t)len : sizeof(piece), MSG_DONTWAIT);

		if (got == 0 || (got < 0 && errno != EAGAIN))
			return false;
		if (got < 0 && !is_ready(fd, POLLIN, PAIR_WAIT_MS))
			return false;
		if (got < 0)
			continue;
		if (pattern_check(piece, seed, position, (size_t)got) >= 0)
			return false;
		position += (uint64_t)got;
		len -= (uint64_t)got;
	}
	return true;
}

const char *pair_next(int fd)
{
	char byte;
	ssize_t got;

	if (!is_ready(fd, POLLIN, PAIR_WAIT_MS))
		return "nothing";
	got = recv(fd, &byte, 1, MSG_DONTWAIT);
	if (got >= 0)
		return got ? "bytes" : "end";
	return errno == ECONNRESET ? "reset" : strerrorname_np(errno);
}
