/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/local/bypass.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "user/base/check.h"
#include "user/kernel/common/broken.h"
#include "user/kernel/common/tcp_progress.h"
#include "user/kernel/local/local_internal.h"
#include "user/kernel/local/local_worker.h"

/* ---------------------------------------------------------------------------------------- start and stop */

static enum local_reason direction_reason(const struct local_record *record)
{
	return (enum local_reason)__atomic_load_n(&record->kernel.reason, __ATOMIC_RELAXED);
}

static struct local_record *direction_open(struct local *local, struct local_handle slot, uint64_t receiver)
{
	struct local_record *record = &local->records[slot.index];

	record->user.target = receiver;
	record->user.receiver_bytes = local->receiver_bytes;
	__atomic_store_n(&record->user.mode, LOCAL_MODE_OPEN, __ATOMIC_RELEASE);
	return record;
}

static int slots_take(struct bypass *bypass)
{
	int error = local_slot_take(bypass->local, &bypass->in_slot);

	if (error)
		return error;
	error = local_slot_take(bypass->local, &bypass->out_slot);
	if (error) {
		local_slot_give(bypass->local, bypass->in_slot);
		return error;
	}
	bypass->in = direction_open(bypass->local, bypass->in_slot, bypass->own_cookie);
	bypass->out = direction_open(bypass->local, bypass->out_slot, bypass->far_cookie);
	bypass->in->user.back = bypass->out_slot;
	bypass->out->user.back = bypass->in_slot;
	return 0;
}

/* A full receiver must not get bytes through TCP while it has unread bypassed ones: bypass_refuses(). */
void bypass_enter(struct bypass *bypass)
{
	struct local_user *user = &bypass->out->user;

	list_init(&bypass->waiting);
	user->flags = LOCAL_REFUSES;
	/*
	 * Another ring may still hold an event of a crashed process: the reader compares the ring before it
	 * uses the owner.
	 */
	user->ring = bypass->worker->ring;
	__atomic_store_n(&user->owner, (uintptr_t)bypass, __ATOMIC_RELEASE);
}

/* Add our own socket last: it makes the other end's messages bypass TCP. */
static int maps_enter(struct bypass *bypass, int fd)
{
	const int *maps = bypass->local->map_fds;
	uint64_t value = (uint64_t)fd;
	int error = bpf_map_update_elem(maps[LOCAL_MAP_BYPASS_OF], &bypass->own_cookie, &bypass->out_slot,
					BPF_NOEXIST);

	if (!error)
		error = bpf_map_update_elem(maps[LOCAL_MAP_BYPASS_OF], &bypass->far_cookie, &bypass->in_slot,
					    BPF_NOEXIST);
	if (!error)
		error = bpf_map_update_elem(maps[LOCAL_MAP_SOCKETS], &bypass->own_cookie, &value,
					    BPF_NOEXIST);
	return error == -E2BIG ? -ENOSPC : error == -EOPNOTSUPP ? -ENOTCONN : error;
}

static void maps_leave(const struct bypass *bypass)
{
	bpf_map_delete_elem(bypass->local->map_fds[LOCAL_MAP_BYPASS_OF], &bypass->own_cookie);
	bpf_map_delete_elem(bypass->local->map_fds[LOCAL_MAP_BYPASS_OF], &bypass->far_cookie);
}

static int far_find(struct bypass *bypass, int fd)
{
	struct local_end end, far;
	int error = local_cookie(fd, &bypass->own_cookie);

	if (!error)
		error = local_end_find(bypass->local, bypass->own_cookie, &end);
	if (error)
		return error;
	if (!end.far)
		return -EAGAIN;
	if (!local_end_find(bypass->local, end.far, &far) && far.blocks &&
	    !SOCKMAP_BROKEN(LOCAL_BREAK_BLOCKING)) {
		atomic_fetch_add(&bypass->local->bypass_left[LOCAL_REASON_BLOCKING], 1);
		return -EOPNOTSUPP;
	}
	bypass->far_cookie = end.far;
	return 0;
}

int bypass_start(struct bypass *bypass, struct local_worker *worker, int fd)
{
	struct local *local = worker->local;
	struct bypass new = { .local = local,
			      .worker = worker,
			      .empty_passed_bytes = UINT64_MAX,
			      .before_bytes = UINT64_MAX,
			      .silent_look = UINT64_MAX };
	int on = 1;
	int error;

	CHECK(!bypass->local);
	error = far_find(&new, fd);
	if (error == -EAGAIN)
		return local_give_up(local, new.own_cookie) ? error : bypass_start(bypass, worker, fd);
	if (!error && setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)))
		error = -errno;
	if (!error)
		error = slots_take(&new);
	if (!error) {
		error = maps_enter(&new, fd);
		if (error) {
			maps_leave(&new);
			local_slot_give(local, new.in_slot);
			local_slot_give(local, new.out_slot);
		}
	}
	if (error) {
		/* TCP has the connection, so the other end leaves the map: bypass_refuses(). */
		if (new.far_cookie)
			bpf_map_delete_elem(local->map_fds[LOCAL_MAP_SOCKETS], &new.far_cookie);
		return error;
	}
	atomic_fetch_add(&local->bypass_slots, 2);
	atomic_fetch_add(&local->bypass_count, 1);
	*bypass = new;
	bypass_enter(bypass);
	return 0;
}

void bypass_stop(struct bypass *bypass)
{
	if (!bypass->local)
		return;
	__atomic_store_n(&bypass->in->user.mode, LOCAL_MODE_CLOSED, __ATOMIC_RELEASE);
	__atomic_store_n(&bypass->out->user.mode, LOCAL_MODE_CLOSED, __ATOMIC_RELEASE);
	maps_leave(bypass);
	list_remove(&bypass->waiting);
	/* First, so that local_count_directions() is never less than 0. */
	atomic_fetch_sub(&bypass->local->bypass_slots, 2);
	local_slot_give(bypass->local, bypass->in_slot);
	local_slot_give(bypass->local, bypass->out_slot);
	if (!bypass->has_left)
		atomic_fetch_sub(&bypass->local->bypass_count, 1);
	bypass->local = NULL;
}

/* ---------------------------------------------------------------------------------------- bytes */

uint64_t bypass_passed(const struct bypass *bypass)
{
	return local_lane_bytes(bypass->in, LOCAL_LANE_COPY);
}

void bypass_note_empty(struct bypass *bypass, uint64_t passed_bytes)
{
	bypass->empty_passed_bytes = passed_bytes;
}

bool bypass_is_empty(const struct bypass *bypass, uint64_t passed_bytes)
{
	/* After it has left, the program does not see what the other end sends. */
	if (bypass->has_left)
		return false;
	return bypass->empty_passed_bytes == passed_bytes || SOCKMAP_BROKEN(BYPASS_BREAK_EMPTY);
}

/* bypass_passed() if received_bytes includes all passed and all bypassed bytes, otherwise UINT64_MAX. */
uint64_t bypass_look(const struct bypass *bypass, uint64_t received_bytes)
{
	uint64_t passed = bypass_passed(bypass);
	uint64_t sent;

	if (bypass->has_left)
		return UINT64_MAX;
	sent = bypass->before_bytes + bypass_received_bytes(bypass) + passed;

	return bypass->before_bytes != UINT64_MAX && sent == received_bytes - bypass->other_bytes
		       ? passed
		       : UINT64_MAX;
}

bool bypass_is_drained(const struct bypass *bypass, uint64_t received_bytes)
{
	if (bypass->silent_look == UINT64_MAX)
		return false;
	return bypass_look(bypass, received_bytes) == bypass->silent_look ||
	       SOCKMAP_BROKEN(BYPASS_BREAK_DRAINED);
}

void bypass_note_before(struct bypass *bypass, uint64_t bytes)
{
	bypass->before_bytes = bytes;
}

void bypass_note_silent(struct bypass *bypass, uint64_t look)
{
	bypass->silent_look = look;
}

bool bypass_sends_files(const struct bypass *bypass)
{
	return __atomic_load_n(&bypass->in->kernel.notes, __ATOMIC_RELAXED) & LOCAL_SENDS_FILES;
}

bool bypass_receives_tcp(const struct bypass *bypass)
{
	return __atomic_load_n(&bypass->in->user.mode, __ATOMIC_RELAXED) == LOCAL_MODE_TCP;
}

bool bypass_receive_tcp(struct bypass *bypass, int fd, uint64_t received_bytes)
{
	uint8_t *mode = &bypass->in->user.mode;
	struct tcp_progress_view view;

	/* Once proved, it stays: a pipe may read by now, which would overtake bypassed bytes. */
	if (bypass_receives_tcp(bypass))
		return true;
	/*
	 * The program counts a message, then reads the mode again (lane_enter()): a message that bypasses TCP
	 * in spite of this store is in the count, and has not been read.
	 */
	__atomic_store_n(mode, LOCAL_MODE_TCP, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!tcp_progress_look(fd, &view) &&
	    view.received_bytes + bypass_received_bytes(bypass) == received_bytes - bypass->other_bytes)
		return true;
	__atomic_store_n(mode, LOCAL_MODE_OPEN, __ATOMIC_RELEASE);
	return false;
}

void bypass_send_tcp(struct bypass *bypass)
{
	if (!bypass->has_left)
		__atomic_store_n(&bypass->out->user.mode, LOCAL_MODE_TCP, __ATOMIC_RELEASE);
}

void bypass_wait(struct bypass *bypass)
{
	uint32_t *waits = &bypass->out->user.waits;

	/*
	 * A full barrier between this store and the next check of the queue; local_read() has the
	 * counterpart.
	 */
	__atomic_store_n(waits, *waits + 1, __ATOMIC_SEQ_CST);
	list_remove(&bypass->waiting);
	if (list_is_empty(&bypass->worker->waiting) && bypass->worker->on_waiting)
		bypass->worker->on_waiting(bypass->worker);
	list_add_tail(&bypass->worker->waiting, &bypass->waiting);
}

bool bypass_leave(struct bypass *bypass)
{
	const struct local_kernel *k = &bypass->out->kernel;
	int sockets = bypass->local->map_fds[LOCAL_MAP_SOCKETS];

	if (bypass->has_left || !(__atomic_load_n(&k->notes, __ATOMIC_ACQUIRE) & LOCAL_LEAVES))
		return false;
	__atomic_store_n(&bypass->out->user.mode, LOCAL_MODE_CLOSED, __ATOMIC_RELEASE);
	/*
	 * Its queue is empty, and only we fill it: a lane direct into it waits while we have bytes to send
	 * (message_is_behind()). Without the entry the kernel gives the socket back to TCP.
	 */
	bpf_map_delete_elem(sockets, &bypass->far_cookie);
	/* Without bypassed bytes to come, ours leaves, too: what is sent from a map is copied once more. */
	if (bypass_receives_tcp(bypass))
		bpf_map_delete_elem(sockets, &bypass->own_cookie);
	bypass->has_left = true;
	atomic_fetch_sub(&bypass->local->bypass_count, 1);
	atomic_fetch_add(&bypass->local->bypass_left[direction_reason(bypass->out)], 1);
	return true;
}

uint64_t bypass_refusals(const struct bypass *bypass)
{
	return __atomic_load_n(&bypass->out->kernel.refusals, __ATOMIC_RELAXED);
}

bool bypass_waits(const struct bypass *bypass)
{
	return !list_is_empty(&bypass->waiting);
}

void bypass_tell(struct bypass *bypass)
{
	if (!bypass_waits(bypass))
		return;
	list_remove(&bypass->waiting);
	bypass->on_room(bypass);
}

uint64_t bypass_sent_bytes(const struct bypass *bypass)
{
	return local_lane_bytes(bypass->out, LOCAL_LANE_BYPASS);
}

uint64_t bypass_received_bytes(const struct bypass *bypass)
{
	return local_lane_bytes(bypass->in, LOCAL_LANE_BYPASS);
}

void bypass_note_read(struct bypass *bypass, uint64_t received_bytes)
{
	bypass->in->user.read_bytes = received_bytes - bypass->other_bytes;
}

void bypass_note_other(struct bypass *bypass, uint64_t bytes)
{
	bypass->other_bytes += bytes;
}

bool bypass_has_unread(int fd)
{
	int unread = 0;

	/* For a socket in a map, SIOCINQ counts what was redirected into it. */
	return !SOCKMAP_BROKEN(BYPASS_BREAK_UNREAD) && ioctl(fd, SIOCINQ, &unread) == 0 && unread > 0;
}

int bypass_end(struct bypass *bypass, int fd, uint64_t received_bytes)
{
	struct tcp_progress_view view;
	uint64_t sent;
	int error = tcp_progress_look(fd, &view);

	/* Without numbers nothing is proved, neither success nor loss. */
	if (error)
		return 0;
	sent = view.received_bytes + bypass_received_bytes(bypass);
	received_bytes -= bypass->other_bytes;
	/* TCP counts a FIN as a byte. */
	if (sent == received_bytes + 1 || sent == received_bytes || SOCKMAP_BROKEN(BYPASS_BREAK_END))
		return 0;
	bypass->integrity_error = LOCAL_REASON_INTEGRITY_LOST;
	atomic_fetch_add(&bypass->local->bypass_failures[bypass->integrity_error], 1);
	return -EBADMSG;
}

/* ---------------------------------------------------------------------------------------- what is shown */

static uint64_t direction_falls(const struct local_record *record)
{
	return __atomic_load_n(&record->kernel.falls, __ATOMIC_RELAXED);
}

static bool direction_bypasses(const struct local_record *record)
{
	return __atomic_load_n(&record->kernel.lane, __ATOMIC_RELAXED) == LOCAL_LANE_BYPASS;
}

struct bypass_stats bypass_stats(const struct bypass *bypass)
{
	struct bypass_stats stats = { 0 };

	if (!bypass->local)
		return stats;
	stats.in_bytes = bypass_received_bytes(bypass);
	stats.out_bytes = bypass_sent_bytes(bypass);
	stats.falls = direction_falls(bypass->in) + direction_falls(bypass->out);
	stats.is_in = direction_bypasses(bypass->in);
	stats.is_out = direction_bypasses(bypass->out);
	stats.reason = bypass->integrity_error != LOCAL_REASON_NONE ? bypass->integrity_error
								    : direction_reason(bypass->out);
	if (stats.reason == LOCAL_REASON_NONE)
		stats.reason = direction_reason(bypass->in);
	return stats;
}

int bypass_read_falls(const struct local *local, uint64_t ret_counts[LOCAL_REASON_COUNT])
{
	return reason_counts(&local_reasons, local->map_fds[LOCAL_MAP_BYPASS_FALLS], local->bypass_failures,
			     ret_counts);
}

void bypass_read_left(struct local *local, uint64_t ret_counts[LOCAL_REASON_COUNT])
{
	for (int i = 0; i < LOCAL_REASON_COUNT; i++)
		ret_counts[i] = atomic_load(&local->bypass_left[i]);
}

uint32_t bypass_count(struct local *local)
{
	return atomic_load(&local->bypass_count);
}
