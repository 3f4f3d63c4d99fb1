/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/near/near.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/base/check.h"
#include "user/base/failpoint.h"
#include "user/kernel/common/broken.h"
#include "user/kernel/common/delivery.h"
#include "user/kernel/near/hop.h"
#include "user/kernel/near/near_internal.h"

const char *near_lane_text(enum near_lane lane)
{
	static const char *const texts[NEAR_LANE_COUNT] = { "copy", "near", "direct", "hop" };

	CHECK((unsigned int)lane < NEAR_LANE_COUNT);
	return texts[lane];
}

bool near_has_direct(const struct near *near)
{
	return near->has_direct;
}

void near_disable_direct(struct near *near)
{
	near->has_direct = false;
}

/* ---------------------------------------------------------------------------------------- sockets */

static int netns_cookie(__u64 *ret_cookie)
{
	socklen_t len = sizeof(*ret_cookie);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret_cookie, &len))
		error = -errno;
	close(fd);
	return error;
}

static int listener_key(const struct sockaddr *address, struct near_listener *ret_key)
{
	memset(ret_key, 0, sizeof(*ret_key));
	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;

		ret_key->address[2] = htonl(0xffff);
		ret_key->address[3] = in->sin_addr.s_addr;
		ret_key->port = ntohs(in->sin_port);
	} else if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

		memcpy(ret_key->address, &in6->sin6_addr, sizeof(ret_key->address));
		ret_key->port = ntohs(in6->sin6_port);
	} else {
		return -EAFNOSUPPORT;
	}
	return netns_cookie(&ret_key->netns_cookie);
}

int near_listener_add(struct near *near, const struct sockaddr *address, bool takes_clients)
{
	uint32_t flags = takes_clients ? NEAR_LISTENER_CLIENTS : 0;
	struct near_listener key;
	int error = listener_key(address, &key);

	if (error)
		return error;
	/* Whose it was before: it is ours now. */
	error = bpf_map_update_elem(near->map_fds[NEAR_MAP_LISTENERS], &key, &flags, BPF_ANY);
	return error == -E2BIG ? -ENOSPC : error;
}

int near_listener_remove(struct near *near, const struct sockaddr *address)
{
	struct near_listener key;
	int error = listener_key(address, &key);

	return error ? error : bpf_map_delete_elem(near->map_fds[NEAR_MAP_LISTENERS], &key);
}

int near_cookie(int fd, uint64_t *ret_cookie)
{
	socklen_t len = sizeof(*ret_cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, ret_cookie, &len) ? -errno : 0;
}

int near_end_find(const struct near *near, uint64_t cookie, struct near_end *ret_end)
{
	return bpf_map_lookup_elem(near->map_fds[NEAR_MAP_ENDS], &cookie, ret_end);
}

int near_announce(struct near *near, int fd)
{
	uint32_t value = 1;
	uint64_t cookie;
	int error = near_cookie(fd, &cookie);

	if (error)
		return error;
	return bpf_map_update_elem(near->map_fds[NEAR_MAP_ANNOUNCED], &cookie, &value, BPF_ANY);
}

int near_look(struct near *near, int fd)
{
	struct near_end end;
	uint64_t cookie;
	int error = near_cookie(fd, &cookie);

	if (!error)
		error = near_end_find(near, cookie, &end);
	return error ? error : end.far != 0;
}

/* ---------------------------------------------------------------------------------------- directions */

/* As the sockmap lane does with its targets: every message goes out at once, and fills the send buffer. */
static int sockets_prepare(const struct near_direction_options *o)
{
	unsigned int no_bound = UINT32_MAX;
	int on = 1;

	if (setsockopt(o->target_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    setsockopt(o->target_fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &no_bound, sizeof(no_bound)) ||
	    setsockopt(o->source_fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)))
		return -errno;
	return 0;
}

int near_ends_of(struct near_direction *d, struct near_end *ret_source, struct near_end *ret_target)
{
	struct near_end end;
	uint64_t cookie;
	int error = near_cookie(d->source_fd, &cookie);

	if (!error)
		error = near_cookie(d->target_fd, &d->target_cookie);
	if (!error)
		error = near_end_find(d->near, d->target_cookie, ret_target);
	if (!error)
		error = near_end_find(d->near, cookie, &end);
	if (error)
		return error;
	if (!end.far)
		return -EAGAIN;
	d->source_cookie = end.far;
	error = near_end_find(d->near, end.far, ret_source);
	return error == -ENOENT ? -ENOTCONN : error;
}

uint64_t near_lane_bytes(const struct near_record *record, enum near_lane lane)
{
	return __atomic_load_n(&record->kernel.lane_bytes[lane], __ATOMIC_SEQ_CST);
}

/* What we gave to the target as a hop is not in its send queue. */
static uint64_t written_bytes(const struct near_direction *d, const struct delivery_view *view)
{
	return view->written_bytes + (d->target_hop ? hop_sent_bytes(d->target_hop) : 0);
}

/* Where both are at the start: positions of the source, and of the target. */
static int numbers_get(const struct near_direction *d, const struct near_direction_options *o,
		       struct near_user *ret_user)
{
	struct delivery_view view;
	uint32_t unsent_bytes = o->unsent_bytes;
	uint64_t read_bytes = o->read_bytes;
	/* Of a hop TCP does not know all. */
	int error = o->source_hops ? 0 : delivery_position(d->source_fd, &read_bytes);

	/* An urgent mark hides what is behind it, until the caller has read up to there. */
	if (error == -EBUSY)
		error = -EAGAIN;
	if (!error)
		error = delivery_look(d->source_fd, &view);
	if (!error && !delivery_is_established(&view))
		error = -ENOTCONN;
	if (!error)
		error = delivery_look(d->target_fd, &view);
	if (error)
		return error;
	if (unsent_bytes > read_bytes)
		return -EINVAL;
	ret_user->start_forwarded_bytes = read_bytes - (GATE_BROKEN(NEAR_BREAK_UNSENT) ? 0 : unsent_bytes);
	ret_user->start_written_bytes = written_bytes(d, &view);
	return 0;
}

/* Target first, then the source, then the gate. */
static int maps_enter(struct near_direction *d)
{
	uint64_t target = (uint64_t)d->target_fd;
	int error = bpf_map_update_elem(d->near->map_fds[NEAR_MAP_TARGETS], &d->target_cookie, &target,
					BPF_NOEXIST);

	/* There since an earlier direction: it stays until it is closed. */
	if (error && error != -EEXIST)
		return error == -EOPNOTSUPP ? -ENOTCONN : error == -E2BIG ? -ENOSPC : error;
	error = bpf_map_update_elem(d->near->map_fds[NEAR_MAP_OF], &d->source_cookie, &d->slot, BPF_NOEXIST);
	return error == -EEXIST ? -EBUSY : error == -E2BIG ? -ENOSPC : error;
}

static bool is_running(const struct near_direction *d)
{
	return d->record != NULL;
}

int near_direction_start(struct near_direction *d, struct near *near, const struct near_direction_options *o)
{
	struct near_direction new = { .near = near,
				      .source_fd = o->source_fd,
				      .target_fd = o->target_fd,
				      .target_hop = o->target_hop };
	struct near_end source, target;
	struct near_user start = { 0 }, *user;
	int error;

	CHECK(!is_running(d));
	error = near_ends_of(&new, &source, &target);
	if (!error)
		error = sockets_prepare(o);
	if (!error)
		error = numbers_get(&new, o, &start);
	if (!error)
		error = near_slot_take(near, &new.slot);
	if (error)
		return error;
	new.record = &near->records[new.slot.index];
	user = &new.record->user;
	user->first_seq = source.first_seq;
	user->start_forwarded_bytes = start.start_forwarded_bytes;
	user->start_written_bytes = start.start_written_bytes;
	user->source = new.source_cookie;
	user->forwarded_bytes = start.start_forwarded_bytes;
	user->target = new.target_cookie;
	user->receiver_bytes = near->receiver_bytes;
	user->flags = (o->wants_direct && near->has_direct ? NEAR_DIRECT : 0) |
		      (near->has_cpus ? NEAR_WAITS : 0);
	error = maps_enter(&new);
	if (error) {
		near_slot_give(near, new.slot);
		return error;
	}
	__atomic_store_n(&user->mode, NEAR_MODE_OPEN, __ATOMIC_RELEASE);
	*d = new;
	failpoint(NEAR_STARTED);
	return 0;
}

void near_direction_use_direct(struct near_direction *d, const struct hop *target_hop)
{
	uint8_t *flags = &d->record->user.flags;

	d->target_hop = target_hop;
	if (d->near->has_direct)
		__atomic_store_n(flags, *flags | NEAR_DIRECT, __ATOMIC_RELEASE);
}

void near_direction_forwarded(struct near_direction *d, uint64_t bytes)
{
	if (is_running(d))
		__atomic_store_n(&d->record->user.forwarded_bytes, d->record->user.forwarded_bytes + bytes,
				 __ATOMIC_RELEASE);
}

/* Is more in the target's send queue than it was given? *ret_is_settled: and not less either. */
static int written_check(struct near_direction *d, bool *ret_is_settled)
{
	struct delivery_view view;
	int error = delivery_look(d->target_fd, &view);

	*ret_is_settled = false;
	if (error == -EAGAIN)
		return 0;
	/* A FIN of ours counts as a byte, and a reset forgets its bytes: nothing is to be proved any more. */
	if (error || (view.tcp_state != TCP_ESTABLISHED && view.tcp_state != TCP_CLOSE_WAIT)) {
		*ret_is_settled = true;
		return 0;
	}
	/* In this order: what is counted later can only make more of what was given. */
	const struct near_user *user = &d->record->user;
	uint64_t written = written_bytes(d, &view) - user->start_written_bytes;
	uint64_t given = user->forwarded_bytes - user->start_forwarded_bytes +
			 near_lane_bytes(d->record, NEAR_LANE_NEAR);

	*ret_is_settled = written == given;
	if (written <= given)
		return 0;
	d->poison = NEAR_REASON_POISON_WRITTEN;
	atomic_fetch_add(&d->near->proof_failures[d->poison], 1);
	return -EIO;
}

static int direction_check(struct near_direction *d, bool *ret_is_settled)
{
	*ret_is_settled = true;
	if (!is_running(d))
		return 0;
	if (d->poison != NEAR_REASON_NONE || __atomic_load_n(&d->record->kernel.poison, __ATOMIC_ACQUIRE))
		return -EIO;
	return written_check(d, ret_is_settled);
}

int near_direction_check(struct near_direction *d)
{
	bool is_settled;

	return direction_check(d, &is_settled);
}

int near_direction_close(struct near_direction *d)
{
	bool is_settled;
	int error;

	if (is_running(d)) {
		__atomic_store_n(&d->record->user.mode, NEAR_MODE_CLOSED, __ATOMIC_SEQ_CST);
		/* Either we see what the program has counted, or it sees that the gate is closed. */
		atomic_thread_fence(memory_order_seq_cst);
	}
	error = direction_check(d, &is_settled);
	if (!error && !is_settled && !GATE_BROKEN(NEAR_BREAK_BARRIER))
		return -EAGAIN;
	return error;
}

void near_direction_stop(struct near_direction *d)
{
	if (!is_running(d))
		return;
	__atomic_store_n(&d->record->user.mode, NEAR_MODE_CLOSED, __ATOMIC_RELEASE);
	bpf_map_delete_elem(d->near->map_fds[NEAR_MAP_OF], &d->source_cookie);
	near_slot_give(d->near, d->slot);
	d->record = NULL;
}

struct near_stats near_direction_stats(const struct near_direction *d)
{
	struct near_stats stats = { 0 };

	if (!is_running(d))
		return stats;
	const struct near_kernel *k = &d->record->kernel;
	stats.near_bytes = near_lane_bytes(d->record, NEAR_LANE_NEAR);
	stats.direct_bytes = near_lane_bytes(d->record, NEAR_LANE_DIRECT);
	stats.last_active_ns = __atomic_load_n(&k->last_active_ns, __ATOMIC_RELAXED);
	stats.falls = __atomic_load_n(&k->falls, __ATOMIC_RELAXED);
	stats.lane = (enum near_lane)__atomic_load_n(&k->lane, __ATOMIC_RELAXED);
	stats.reason = d->poison != NEAR_REASON_NONE
			       ? d->poison
			       : (enum near_reason)__atomic_load_n(&k->reason, __ATOMIC_RELAXED);
	return stats;
}

int near_read_falls(const struct near *near, uint64_t ret_counts[NEAR_REASON_COUNT])
{
	return reason_counts(&near_reasons, near->map_fds[NEAR_MAP_FALLS], near->proof_failures, ret_counts);
}

uint32_t near_count_directions(struct near *near)
{
	uint32_t count;

	pthread_mutex_lock(&near->lock);
	count = near->slot_count - near->free_count - near->left_count - 2 * atomic_load(&near->hop_count);
	pthread_mutex_unlock(&near->lock);
	return count;
}
