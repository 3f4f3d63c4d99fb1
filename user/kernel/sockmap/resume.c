/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/sockmap/resume.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/base/failpoint.h"
#include "user/kernel/common/tcp_progress.h"
#include "user/kernel/sockmap/forward.h"
#include "user/kernel/sockmap/journal.h"

/* ------------------------------------------------------------------------------------ the gate */

uint32_t sockmap_descriptors(const struct sockmap *sockmap, int ret_fds[SOCKMAP_DESCRIPTORS_MAX])
{
	uint32_t count = 0;

	for (int map = 0; map < SOCKMAP_MAP_COUNT; map++)
		ret_fds[count++] = sockmap->map_fds[map];
	ret_fds[count++] = sockmap->prog_fd;
	ret_fds[count++] = sockmap->link_fd;
	for (uint32_t ring = 0; ring < sockmap->worker_count; ring++)
		ret_fds[count++] = sockmap->ring_fds[ring];
	return count;
}

static int inherit_steps(struct sockmap *sockmap, const struct sockmap_options *options, struct text *why)
{
	struct sockmap_info info = { 0 };
	int error = sockmap_info_check(sockmap->map_fds[SOCKMAP_MAP_INFO], options, &info, why);

	if (error)
		return error;
	if (info.worker_count != sockmap->worker_count) {
		text_fmt(why, "%u of %u rings", sockmap->worker_count, info.worker_count);
		return -EPROTO;
	}
	sockmap->slots.count = info.slot_count;
	error = sockmap_map_memory(sockmap, options);
	if (error)
		text_fmt(why, "cannot map the records: %s", strerror(-error));
	return error;
}

/* Forgets all descriptors: after a failure they stay the caller's. */
static void sockmap_disown(struct sockmap *sockmap)
{
	for (int map = 0; map < SOCKMAP_MAP_COUNT; map++)
		sockmap->map_fds[map] = -1;
	for (uint32_t ring = 0; ring < sockmap->worker_count; ring++)
		sockmap->ring_fds[ring] = -1;
	sockmap->prog_fd = -1;
	sockmap->link_fd = -1;
}

int sockmap_inherit(const int *fds, uint32_t count, const struct sockmap_options *options,
		    struct sockmap **ret_sockmap, struct text *why)
{
	uint32_t ring_count = count > SOCKMAP_MAP_COUNT + 2 ? count - SOCKMAP_MAP_COUNT - 2 : 0;
	struct sockmap *sockmap = ring_count ? sockmap_alloc(ring_count) : NULL;
	int error;

	if (!sockmap) {
		text_str(why, "no memory");
		return -ENOMEM;
	}
	memcpy(sockmap->map_fds, fds, sizeof(sockmap->map_fds));
	sockmap->prog_fd = fds[SOCKMAP_MAP_COUNT];
	sockmap->link_fd = fds[SOCKMAP_MAP_COUNT + 1];
	memcpy(sockmap->ring_fds, fds + SOCKMAP_MAP_COUNT + 2, ring_count * sizeof(sockmap->ring_fds[0]));
	error = inherit_steps(sockmap, options, why);
	if (error) {
		sockmap_disown(sockmap);
		sockmap_free(sockmap);
		return error;
	}
	/* No other process uses the maps, so a slot's age does not matter. */
	(void)sockmap_reclaim(sockmap, 0);
	*ret_sockmap = sockmap;
	return 0;
}

/* ------------------------------------------------------------------------------------ sockets */

static bool is_in_map(const struct sockmap *sockmap, enum sockmap_map map, const struct sockmap_socket *s)
{
	uint64_t cookie;

	return bpf_map_lookup_elem(sockmap->map_fds[map], &s->slot.index, &cookie) == 0 &&
	       cookie == s->cookie;
}

static bool is_listed(const struct sockmap *sockmap, const struct sockmap_socket *s)
{
	struct sockmap_handle listed;

	return bpf_map_lookup_elem(sockmap->map_fds[SOCKMAP_MAP_GATE_OF], &s->cookie, &listed) == 0 &&
	       listed.index == s->slot.index && listed.generation == s->slot.generation;
}

static bool is_within(uint64_t value, uint64_t from, uint64_t to)
{
	return value >= from && value <= to;
}

/*
 * The process crashed around a recv() that was to read `step` bytes. All committed bytes were peeked before,
 * so they can still be read unless that recv() took them; bytes passed after them may not be readable yet.
 * Returns 0, or -EBUSY if both are possible.
 */
static int resume_reading(const struct sockmap_worker *worker, const struct sockmap_record *record,
			  struct sockmap_socket *s)
{
	uint64_t committed = record->user.forwarded_bytes - record->journal.consumed_bytes;
	uint64_t step = committed < SOCKMAP_CONSUME_BYTES ? committed : SOCKMAP_CONSUME_BYTES;
	ssize_t peeked = recv(s->fd, worker->peek, SOCKMAP_PEEK_BYTES, MSG_PEEK | MSG_DONTWAIT);
	uint64_t passed = __atomic_load_n(&record->kernel.passed_bytes, __ATOMIC_ACQUIRE) -
			  record->journal.consumed_bytes;
	uint64_t unread = peeked > 0 ? (uint64_t)peeked : 0;
	bool is_before, is_behind;

	if (record->journal.phase != DIRECTION_CONSUME || record->journal.busy != JOURNAL_READING ||
	    committed > passed || passed >= SOCKMAP_PEEK_BYTES || (peeked < 0 && errno != EAGAIN))
		return -EBUSY;
	is_before = is_within(unread, committed, passed);
	is_behind = is_within(unread, committed - step, passed - step);
	if (is_before == is_behind)
		return -EBUSY;
	s->consumed_bytes = record->journal.consumed_bytes + (is_behind ? step : 0);
	return 0;
}

/* Restores the counts of the caller: from the journal, or from the program if the socket is no source now. */
static int resume_counts(const struct sockmap_worker *worker, struct sockmap_record *record,
			 struct sockmap_socket *s)
{
	int error = 0;

	s->base_position = record->journal.base_position;
	s->consumed_bytes = s->is_source ? record->journal.consumed_bytes : record->kernel.passed_bytes;
	if (!s->is_source)
		return 0;
	/* Without a direction, the crashed process was reading the rest. */
	if (record->journal.phase == DIRECTION_IDLE)
		return -EBUSY;
	if (record->journal.busy)
		error = resume_reading(worker, record, s);
	if (error)
		return error;
	record->journal.consumed_bytes = s->consumed_bytes;
	journal_end(s, JOURNAL_READING);
	return 0;
}

int sockmap_socket_resume(struct sockmap_worker *worker, struct sockmap_socket *s, int fd,
			  struct sockmap_handle slot)
{
	struct sockmap *sockmap = worker->sockmap;
	struct sockmap_socket resumed = { .worker = worker, .fd = fd, .slot = slot };
	socklen_t len = sizeof(resumed.cookie);
	struct sockmap_record *record;
	int error;

	CHECK(!sockmap_socket_is_added(s));
	if (slot.index >= sockmap->slots.count)
		return -ENOENT;
	record = &sockmap->slots.records[slot.index];
	if (!(slot.generation & 1) ||
	    __atomic_load_n(&record->user.generation, __ATOMIC_ACQUIRE) != slot.generation)
		return -ENOENT;
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &resumed.cookie, &len))
		return -errno;
	if (!is_in_map(sockmap, SOCKMAP_MAP_TARGETS, &resumed))
		return -ENOENT;
	if (record->kernel.integrity_error)
		return -EPROTO;
	resumed.is_listed = is_listed(sockmap, &resumed);
	resumed.is_source = is_in_map(sockmap, SOCKMAP_MAP_SOURCES, &resumed);
	error = resume_counts(worker, record, &resumed);
	if (error)
		return error;
	record->user.claimed_ns = clock_now_ns();
	__atomic_store_n(&record->user.worker, (__u16)worker->ring, __ATOMIC_RELEASE);
	atomic_fetch_add(&sockmap->slots.used, 1);
	worker->sockets[slot.index] = s;
	*s = resumed;
	return 0;
}

void sockmap_slot_forget(struct sockmap *sockmap, struct sockmap_handle slot, uint64_t cookie)
{
	struct sockmap_handle listed;
	uint64_t in_map;

	if (slot.index >= sockmap->slots.count ||
	    __atomic_load_n(&sockmap->slots.records[slot.index].user.generation, __ATOMIC_ACQUIRE) !=
		    slot.generation ||
	    bpf_map_lookup_elem(sockmap->map_fds[SOCKMAP_MAP_TARGETS], &slot.index, &in_map) != -ENOENT)
		return;
	if (bpf_map_lookup_elem(sockmap->map_fds[SOCKMAP_MAP_GATE_OF], &cookie, &listed) == 0 &&
	    listed.index == slot.index)
		bpf_map_delete_elem(sockmap->map_fds[SOCKMAP_MAP_GATE_OF], &cookie);
	(void)slots_reclaim(&sockmap->slots, slot.index, clock_now_ns(), 0);
}

void sockmap_source_disarm(struct sockmap_socket *source)
{
	struct tcp_progress_view view;

	CHECK(!source->inbound);
	__atomic_store_n(&sockmap_socket_record(source)->user.mode, SOCKMAP_MODE_USER, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	(void)tcp_progress_look(source->fd, &view);
}

/* ------------------------------------------------------------------------------------ directions */

enum { RESUME_LOOKS = 64 };

static int look_well(int fd, struct tcp_progress_view *ret_view)
{
	int error = -EAGAIN;

	for (int i = 0; i < RESUME_LOOKS && error == -EAGAIN; i++)
		error = tcp_progress_look(fd, ret_view);
	return error;
}

/* Restores the chunk state after the bytes that were sent and not committed. Returns 0 or -EAGAIN. */
static int resume_chunk(struct sockmap_direction *d)
{
	const struct sockmap_record *record = sockmap_socket_record(d->source);
	const char *bytes = d->source->worker->peek;
	__u64 payload = 0;
	ssize_t len;

	d->chunk = record->kernel.opens != d->seen_opens ? record->kernel.chunk : record->user.chunk;
	if (d->framing != SOCKMAP_CHUNKED_BODY || d->sent_bytes == 0)
		return 0;
	len = recv(d->source->fd, d->source->worker->peek, (size_t)d->sent_bytes, MSG_PEEK | MSG_DONTWAIT);
	if (len < 0 || (uint64_t)len != d->sent_bytes)
		return -EAGAIN;
	chunk_walk_counting(&d->chunk, (const unsigned char *)bytes, (size_t)len, &payload);
	return 0;
}

/*
 * Restores sent_bytes: the bytes sent and not committed. The gate has been closed since the flush proof, so
 * the target's send queue has taken exactly that many more than were handed to it. After a commit the gate
 * may be open again, and the queue may have taken fewer than were handed over.
 */
static int resume_sent(struct sockmap_direction *d)
{
	struct tcp_progress_view target_view;
	struct direction_view view;
	uint64_t written, handed;
	int error = look_well(d->target->fd, &target_view);

	if (error)
		return error;
	view = direction_look(d);
	written = target_view.written_bytes - d->base_written_bytes;
	handed = view.redirected_bytes - d->base_redirected_bytes + d->forwarded_bytes -
		 d->base_forwarded_bytes;
	if (d->state != DIRECTION_FORWARD || written <= handed)
		return 0;
	d->sent_bytes = written - handed;
	return d->sent_bytes > view.passed_bytes - d->forwarded_bytes || d->sent_bytes > SOCKMAP_PEEK_BYTES
		       ? -EPROTO
		       : 0;
}

static void resume_fill(struct sockmap_direction *d, struct sockmap_socket *source,
			struct sockmap_socket *target)
{
	const struct sockmap_record *record = sockmap_socket_record(source);
	const struct sockmap_journal *journal = &record->journal;
	const struct sockmap_kernel *k = &record->kernel;

	*d = (struct sockmap_direction){
		.on_event = d->on_event,
		.state = (enum sockmap_direction_state)journal->phase,
		.source = source,
		.target = target,
		.framing = (enum sockmap_framing)journal->framing,
		/* The direction was asked to end. */
		.is_leaving = record->user.mode != SOCKMAP_MODE_KERNEL,
		.limit_bytes = record->user.limit_bytes,
		.forwarded_bytes = record->user.forwarded_bytes,
		.base_redirected_bytes = journal->base_redirected_bytes,
		.base_forwarded_bytes = journal->base_forwarded_bytes,
		.base_written_bytes = journal->base_written_bytes,
		.base_skbs = k->redirected_skbs,
		.base_framing_bytes = journal->base_framing_bytes,
		.sent_framing_bytes = journal->sent_framing_bytes,
		.base_trimmed_bytes = k->trimmed_bytes,
		.base_closes = k->closes,
		.base_opens = k->opens,
		.seen_opens = journal->seen_opens,
	};
	list_init(&d->tick);
	/* The commit was stored, the state was not: the committed bytes have yet to be read. */
	if (d->state == DIRECTION_FORWARD && source->consumed_bytes != d->forwarded_bytes)
		d->state = DIRECTION_CONSUME;
}

int sockmap_direction_resume(struct sockmap_direction *d, struct sockmap_socket *source,
			     struct sockmap_socket *target)
{
	struct sockmap_record *record = sockmap_socket_record(source);
	struct sockmap_slots *slots = &source->worker->sockmap->slots;
	uint64_t credit = record->user.credit_bytes;
	struct tcp_progress_view source_view;
	int error;

	CHECK(!sockmap_direction_is_running(d) && source->worker == target->worker);
	if (record->journal.phase == DIRECTION_IDLE || record->journal.phase >= DIRECTION_STATE_COUNT ||
	    !source->is_source || target->is_source || record->user.peer.index != target->slot.index ||
	    record->user.peer.generation != target->slot.generation)
		return -ENOENT;
	if (record->journal.busy)
		return -EBUSY;
	/* After this barrier, a verdict that was running has counted what it moved. */
	error = look_well(source->fd, &source_view);
	if (error)
		return error;
	resume_fill(d, source, target);
	error = resume_sent(d);
	if (!error)
		error = resume_chunk(d);
	if (!error && credit && slots_reserve_credit(slots, credit))
		d->credit_bytes = credit;
	if (!d->credit_bytes)
		record->user.credit_bytes = 0;
	if (error) {
		d->source = NULL;
		d->target = NULL;
		d->state = DIRECTION_IDLE;
		return error;
	}
	journal_phase(source, d->state);
	failpoint(RESUME_DIRECTION);
	source->inbound = d;
	target->outbound = d;
	return 0;
}
