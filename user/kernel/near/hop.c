/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/near/hop.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "user/base/check.h"
#include "user/kernel/common/broken.h"
#include "user/kernel/common/delivery.h"
#include "user/kernel/near/near_internal.h"
#include "user/kernel/near/near_worker.h"

/* ---------------------------------------------------------------------------------------- start and stop */

static struct near_record *way_open(struct near *near, struct near_handle slot, uint64_t receiver)
{
	struct near_record *record = &near->records[slot.index];

	record->user.target = receiver;
	record->user.receiver_bytes = near->receiver_bytes;
	__atomic_store_n(&record->user.mode, NEAR_MODE_OPEN, __ATOMIC_RELEASE);
	return record;
}

static int slots_take(struct hop *hop)
{
	int error = near_slot_take(hop->near, &hop->in_slot);

	if (error)
		return error;
	error = near_slot_take(hop->near, &hop->out_slot);
	if (error) {
		near_slot_give(hop->near, hop->in_slot);
		return error;
	}
	hop->in = way_open(hop->near, hop->in_slot, hop->own_cookie);
	hop->out = way_open(hop->near, hop->out_slot, hop->far_cookie);
	hop->in->user.back = hop->out_slot;
	hop->out->user.back = hop->in_slot;
	return 0;
}

/* A full receiver must not get bytes through TCP while it has unread bypassed ones: hop_must_wait(). */
void hop_enter(struct hop *hop)
{
	struct near_user *user = &hop->out->user;

	list_init(&hop->waiting);
	user->flags = NEAR_REFUSES;
	/*
	 * Another ring may still hold an event of a crashed process: the reader compares the ring before it
	 * uses the owner.
	 */
	user->ring = hop->worker->ring;
	__atomic_store_n(&user->owner, (uintptr_t)hop, __ATOMIC_RELEASE);
}

/* Add our own socket last: it makes the other end's messages bypass TCP. */
static int maps_enter(struct hop *hop, int fd)
{
	const int *maps = hop->near->map_fds;
	uint64_t value = (uint64_t)fd;
	int error = bpf_map_update_elem(maps[NEAR_MAP_HOP_OF], &hop->own_cookie, &hop->out_slot, BPF_NOEXIST);

	if (!error)
		error = bpf_map_update_elem(maps[NEAR_MAP_HOP_OF], &hop->far_cookie, &hop->in_slot,
					    BPF_NOEXIST);
	if (!error)
		error = bpf_map_update_elem(maps[NEAR_MAP_SOCKETS], &hop->own_cookie, &value, BPF_NOEXIST);
	return error == -E2BIG ? -ENOSPC : error == -EOPNOTSUPP ? -ENOTCONN : error;
}

static void maps_leave(const struct hop *hop)
{
	bpf_map_delete_elem(hop->near->map_fds[NEAR_MAP_HOP_OF], &hop->own_cookie);
	bpf_map_delete_elem(hop->near->map_fds[NEAR_MAP_HOP_OF], &hop->far_cookie);
}

static int far_find(struct hop *hop, int fd)
{
	struct near_end end;
	int error = near_cookie(fd, &hop->own_cookie);

	if (!error)
		error = near_end_find(hop->near, hop->own_cookie, &end);
	if (error)
		return error;
	hop->far_cookie = end.far;
	return end.far ? 0 : -EAGAIN;
}

int hop_start(struct hop *hop, struct near_worker *worker, int fd)
{
	struct near *near = worker->near;
	struct hop new = { .near = near,
			   .worker = worker,
			   .empty_passed_bytes = UINT64_MAX,
			   .before_bytes = UINT64_MAX,
			   .silent_look = UINT64_MAX };
	int on = 1;
	int error;

	CHECK(!hop->near);
	error = far_find(&new, fd);
	if (!error && setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)))
		error = -errno;
	if (!error)
		error = slots_take(&new);
	if (error)
		return error;
	error = maps_enter(&new, fd);
	if (error) {
		maps_leave(&new);
		near_slot_give(near, new.in_slot);
		near_slot_give(near, new.out_slot);
		return error;
	}
	atomic_fetch_add(&near->hop_count, 1);
	*hop = new;
	hop_enter(hop);
	return 0;
}

void hop_stop(struct hop *hop)
{
	if (!hop->near)
		return;
	__atomic_store_n(&hop->in->user.mode, NEAR_MODE_CLOSED, __ATOMIC_RELEASE);
	__atomic_store_n(&hop->out->user.mode, NEAR_MODE_CLOSED, __ATOMIC_RELEASE);
	maps_leave(hop);
	list_remove(&hop->waiting);
	near_slot_give(hop->near, hop->in_slot);
	near_slot_give(hop->near, hop->out_slot);
	atomic_fetch_sub(&hop->near->hop_count, 1);
	hop->near = NULL;
}

/* ---------------------------------------------------------------------------------------- bytes */

uint64_t hop_passed(const struct hop *hop)
{
	return near_lane_bytes(hop->in, NEAR_LANE_COPY);
}

void hop_note_empty(struct hop *hop, uint64_t passed_bytes)
{
	hop->empty_passed_bytes = passed_bytes;
}

bool hop_is_empty(const struct hop *hop, uint64_t passed_bytes)
{
	return hop->empty_passed_bytes == passed_bytes || GATE_BROKEN(HOP_BREAK_EMPTY);
}

/* hop_passed() if received_bytes includes all passed and all bypassed bytes, otherwise UINT64_MAX. */
uint64_t hop_look(const struct hop *hop, uint64_t received_bytes)
{
	uint64_t passed = hop_passed(hop);
	uint64_t sent = hop->before_bytes + hop_received_bytes(hop) + passed;

	return hop->before_bytes != UINT64_MAX && sent == received_bytes - hop->other_bytes ? passed
											    : UINT64_MAX;
}

bool hop_is_drained(const struct hop *hop, uint64_t received_bytes)
{
	if (hop->silent_look == UINT64_MAX)
		return false;
	return hop_look(hop, received_bytes) == hop->silent_look || GATE_BROKEN(HOP_BREAK_DRAINED);
}

void hop_note_before(struct hop *hop, uint64_t bytes)
{
	hop->before_bytes = bytes;
}

void hop_note_silent(struct hop *hop, uint64_t look)
{
	hop->silent_look = look;
}

void hop_wait(struct hop *hop)
{
	uint32_t *waits = &hop->out->user.waits;

	/*
	 * A full barrier between this store and the next check of the queue; near_read() has the counterpart.
	 */
	__atomic_store_n(waits, *waits + 1, __ATOMIC_SEQ_CST);
	list_remove(&hop->waiting);
	if (list_is_empty(&hop->worker->waiting) && hop->worker->on_waiting)
		hop->worker->on_waiting(hop->worker);
	list_add_tail(&hop->worker->waiting, &hop->waiting);
}

uint64_t hop_refusals(const struct hop *hop)
{
	return __atomic_load_n(&hop->out->kernel.refusals, __ATOMIC_RELAXED);
}

bool hop_waits(const struct hop *hop)
{
	return !list_is_empty(&hop->waiting);
}

void hop_tell(struct hop *hop)
{
	if (!hop_waits(hop))
		return;
	list_remove(&hop->waiting);
	hop->on_room(hop);
}

uint64_t hop_sent_bytes(const struct hop *hop)
{
	return near_lane_bytes(hop->out, NEAR_LANE_HOP);
}

uint64_t hop_received_bytes(const struct hop *hop)
{
	return near_lane_bytes(hop->in, NEAR_LANE_HOP);
}

void hop_note_read(struct hop *hop, uint64_t received_bytes)
{
	hop->in->user.read_bytes = received_bytes - hop->other_bytes;
}

void hop_note_other(struct hop *hop, uint64_t bytes)
{
	hop->other_bytes += bytes;
}

bool hop_has_unread(int fd)
{
	int unread = 0;

	/* For a socket in a map, SIOCINQ counts what was redirected into it. */
	return !GATE_BROKEN(HOP_BREAK_UNREAD) && ioctl(fd, SIOCINQ, &unread) == 0 && unread > 0;
}

int hop_end(struct hop *hop, int fd, uint64_t received_bytes)
{
	struct delivery_view view;
	uint64_t sent;
	int error = delivery_look(fd, &view);

	/* Without numbers nothing is proved, neither success nor loss. */
	if (error)
		return 0;
	sent = view.received_bytes + hop_received_bytes(hop);
	received_bytes -= hop->other_bytes;
	/* TCP counts a FIN as a byte. */
	if (sent == received_bytes + 1 || sent == received_bytes || GATE_BROKEN(HOP_BREAK_END))
		return 0;
	hop->poison = NEAR_REASON_POISON_LOST;
	atomic_fetch_add(&hop->near->hop_failures[hop->poison], 1);
	return -EBADMSG;
}

/* ---------------------------------------------------------------------------------------- what is shown */

static uint64_t way_falls(const struct near_record *record)
{
	return __atomic_load_n(&record->kernel.falls, __ATOMIC_RELAXED);
}

static bool way_hops(const struct near_record *record)
{
	return __atomic_load_n(&record->kernel.lane, __ATOMIC_RELAXED) == NEAR_LANE_HOP;
}

static enum near_reason way_reason(const struct near_record *record)
{
	return (enum near_reason)__atomic_load_n(&record->kernel.reason, __ATOMIC_RELAXED);
}

struct hop_stats hop_stats(const struct hop *hop)
{
	struct hop_stats stats = { 0 };

	if (!hop->near)
		return stats;
	stats.in_bytes = hop_received_bytes(hop);
	stats.out_bytes = hop_sent_bytes(hop);
	stats.falls = way_falls(hop->in) + way_falls(hop->out);
	stats.is_in = way_hops(hop->in);
	stats.is_out = way_hops(hop->out);
	stats.reason = hop->poison != NEAR_REASON_NONE ? hop->poison : way_reason(hop->out);
	if (stats.reason == NEAR_REASON_NONE)
		stats.reason = way_reason(hop->in);
	return stats;
}

int hop_read_falls(const struct near *near, uint64_t ret_counts[NEAR_REASON_COUNT])
{
	return reason_counts(&near_reasons, near->map_fds[NEAR_MAP_HOP_FALLS], near->hop_failures,
			     ret_counts);
}

uint32_t hop_count(struct near *near)
{
	return atomic_load(&near->hop_count);
}
