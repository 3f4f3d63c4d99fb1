/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/local/local.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/base/check.h"
#include "user/base/failpoint.h"
#include "user/kernel/common/broken.h"
#include "user/kernel/common/tcp_progress.h"
#include "user/kernel/local/local_internal.h"

const char *local_lane_text(enum local_lane lane)
{
	static const char *const texts[LOCAL_LANE_COUNT] = { "copy", "direct", "bypass" };

	CHECK((unsigned int)lane < LOCAL_LANE_COUNT);
	return texts[lane];
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

static int listener_key(const struct sockaddr *address, struct local_listener *ret_key)
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

int local_listener_add(struct local *local, const struct sockaddr *address)
{
	uint32_t flags = 0;
	struct local_listener key;
	int error = listener_key(address, &key);

	if (error)
		return error;
	/* Overwrite an entry left by a previous process. */
	error = bpf_map_update_elem(local->map_fds[LOCAL_MAP_LISTENERS], &key, &flags, BPF_ANY);
	return error == -E2BIG ? -ENOSPC : error;
}

int local_listener_remove(struct local *local, const struct sockaddr *address)
{
	struct local_listener key;
	int error = listener_key(address, &key);

	return error ? error : bpf_map_delete_elem(local->map_fds[LOCAL_MAP_LISTENERS], &key);
}

int local_cookie(int fd, uint64_t *ret_cookie)
{
	socklen_t len = sizeof(*ret_cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, ret_cookie, &len) ? -errno : 0;
}

int local_end_find(const struct local *local, uint64_t cookie, struct local_end *ret_end)
{
	return bpf_map_lookup_elem(local->map_fds[LOCAL_MAP_ENDS], &cookie, ret_end);
}

int local_announce(struct local *local, int fd)
{
	uint32_t value = 1;
	uint64_t cookie;
	int error = local_cookie(fd, &cookie);

	if (error)
		return error;
	return bpf_map_update_elem(local->map_fds[LOCAL_MAP_ANNOUNCED], &cookie, &value, BPF_ANY);
}

bool local_give_up(struct local *local, uint64_t cookie)
{
	enum { LOOKS_MAX = 1000 };
	struct local_end end;

	if (bpf_map_delete_elem(local->map_fds[LOCAL_MAP_ANNOUNCED], &cookie) == 0)
		return true;
	/* The program was faster, and is about to say so; or it does not know this connection. */
	for (int i = 0; i < LOOKS_MAX; i++) {
		if (local_end_find(local, cookie, &end))
			return true;
		if (end.far)
			return false;
		sched_yield();
	}
	return true;
}

int local_look(struct local *local, int fd)
{
	struct local_end end;
	uint64_t cookie;
	int error = local_cookie(fd, &cookie);

	if (!error)
		error = local_end_find(local, cookie, &end);
	return error ? error : end.far != 0;
}

void local_end_program(const struct local_end *end, char ret_program[LOCAL_PROGRAM_BYTES])
{
	for (int i = 0; i < LOCAL_PROGRAM_BYTES; i++) {
		char c = i + 1 < LOCAL_PROGRAM_BYTES ? end->program[i] : '\0';

		/* Any process may name itself as it likes. */
		ret_program[i] = (c != '\0' && c < ' ') || c > '~' ? '?' : c;
	}
}

void local_program(const struct local *local, int fd, char ret_program[LOCAL_PROGRAM_BYTES])
{
	struct local_end end = { 0 }, far = { 0 };
	uint64_t cookie;

	if (!local_cookie(fd, &cookie) && !local_end_find(local, cookie, &end) && end.far)
		(void)local_end_find(local, end.far, &far);
	local_end_program(&far, ret_program);
}

/* ---------------------------------------------------------------------------------------- directions */

int local_ends_of(struct local_direction *d, int source_fd, int target_fd, struct local_end *ret_source)
{
	struct local_end source, target;
	uint64_t cookie;
	int error = local_cookie(source_fd, &cookie);

	if (!error)
		error = local_cookie(target_fd, &d->target_cookie);
	if (!error)
		error = local_end_find(d->local, d->target_cookie, &target);
	if (!error)
		error = local_end_find(d->local, cookie, &source);
	if (error)
		return error;
	if (!source.far || !target.far)
		return -EAGAIN;
	d->source_cookie = source.far;
	error = local_end_find(d->local, source.far, ret_source);
	return error == -ENOENT ? -ENOTCONN : error;
}

uint64_t local_lane_bytes(const struct local_record *record, enum local_lane lane)
{
	return __atomic_load_n(&record->kernel.lane_bytes[lane], __ATOMIC_SEQ_CST);
}

/* *ret_bytes: bytes of the source that are completely forwarded at the start. */
static int forwarded_at_start(const struct local_direction_options *o, uint64_t *ret_bytes)
{
	struct tcp_progress_view view;
	uint64_t read_bytes = o->read_bytes;
	/* TCP counters miss bypassed bytes. */
	int error = o->source_bypasses ? 0 : tcp_progress_position(o->source_fd, &read_bytes);

	/* An urgent mark hides the bytes after it until the caller has read up to it. */
	if (error == -EBUSY)
		error = -EAGAIN;
	if (!error)
		error = tcp_progress_look(o->source_fd, &view);
	if (!error && !tcp_progress_is_established(&view))
		error = -ENOTCONN;
	if (error)
		return error;
	if (o->unsent_bytes > read_bytes)
		return -EINVAL;
	*ret_bytes = read_bytes - (SOCKMAP_BROKEN(LOCAL_BREAK_UNSENT) ? 0 : o->unsent_bytes);
	return 0;
}

static bool is_running(const struct local_direction *d)
{
	return d->record != NULL;
}

int local_direction_start(struct local_direction *d, struct local *local,
			  const struct local_direction_options *o)
{
	struct local_direction new = { .local = local };
	struct local_end source;
	struct local_user *user;
	uint64_t forwarded_bytes;
	int on = 1;
	int error;

	CHECK(!is_running(d));
	error = local_ends_of(&new, o->source_fd, o->target_fd, &source);
	if (!error && setsockopt(o->source_fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)))
		error = -errno;
	if (!error)
		error = forwarded_at_start(o, &forwarded_bytes);
	if (!error)
		error = local_slot_take(local, &new.slot);
	if (error)
		return error;
	new.record = &local->records[new.slot.index];
	user = &new.record->user;
	user->first_seq = source.first_seq;
	user->source = new.source_cookie;
	user->forwarded_bytes = forwarded_bytes;
	user->target = new.target_cookie;
	user->receiver_bytes = local->receiver_bytes;
	/* Add the source to its map before the gate opens. */
	error = bpf_map_update_elem(local->map_fds[LOCAL_MAP_OF], &new.source_cookie, &new.slot, BPF_NOEXIST);
	if (error) {
		local_slot_give(local, new.slot);
		return error == -EEXIST ? -EBUSY : error == -E2BIG ? -ENOSPC : error;
	}
	__atomic_store_n(&user->mode, LOCAL_MODE_OPEN, __ATOMIC_RELEASE);
	*d = new;
	failpoint(LOCAL_STARTED);
	return 0;
}

void local_direction_forwarded(struct local_direction *d, uint64_t bytes)
{
	if (is_running(d))
		__atomic_store_n(&d->record->user.forwarded_bytes, d->record->user.forwarded_bytes + bytes,
				 __ATOMIC_RELEASE);
}

int local_direction_check(const struct local_direction *d)
{
	return is_running(d) && __atomic_load_n(&d->record->kernel.integrity_error, __ATOMIC_ACQUIRE) ? -EIO
												      : 0;
}

void local_direction_close(struct local_direction *d)
{
	if (!is_running(d))
		return;
	__atomic_store_n(&d->record->user.mode, LOCAL_MODE_CLOSED, __ATOMIC_SEQ_CST);
	/* Either we see what the program has counted, or the program sees that the gate is closed. */
	atomic_thread_fence(memory_order_seq_cst);
}

void local_direction_stop(struct local_direction *d)
{
	if (!is_running(d))
		return;
	__atomic_store_n(&d->record->user.mode, LOCAL_MODE_CLOSED, __ATOMIC_RELEASE);
	bpf_map_delete_elem(d->local->map_fds[LOCAL_MAP_OF], &d->source_cookie);
	local_slot_give(d->local, d->slot);
	d->record = NULL;
}

struct local_stats local_direction_stats(const struct local_direction *d)
{
	struct local_stats stats = { 0 };

	if (!is_running(d))
		return stats;
	const struct local_kernel *k = &d->record->kernel;
	stats.direct_bytes = local_lane_bytes(d->record, LOCAL_LANE_DIRECT);
	stats.last_active_ns = __atomic_load_n(&k->last_active_ns, __ATOMIC_RELAXED);
	stats.falls = __atomic_load_n(&k->falls, __ATOMIC_RELAXED);
	stats.lane = (enum local_lane)__atomic_load_n(&k->lane, __ATOMIC_RELAXED);
	stats.reason = (enum local_reason)__atomic_load_n(&k->reason, __ATOMIC_RELAXED);
	return stats;
}

int local_read_falls(const struct local *local, uint64_t ret_counts[LOCAL_REASON_COUNT])
{
	return reason_counts(&local_reasons, local->map_fds[LOCAL_MAP_FALLS], NULL, ret_counts);
}

uint32_t local_count_directions(struct local *local)
{
	uint32_t count;

	pthread_mutex_lock(&local->lock);
	count = local->slot_count - local->free_count - local->left_count - atomic_load(&local->bypass_slots);
	pthread_mutex_unlock(&local->lock);
	return count;
}
