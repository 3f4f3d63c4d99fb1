/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/local/resume.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "user/base/check.h"
#include "user/base/failpoint.h"
#include "user/base/mem.h"
#include "user/kernel/local/local_internal.h"
#include "user/kernel/local/local_worker.h"

/* ---------------------------------------------------------------------------------------- the lanes */

/* Their order among the descriptors: after the maps, before the rings. */
#define LOCAL_OTHERS(local)                                                                                  \
	{                                                                                                    \
		&(local)->sockops_fd, &(local)->message_fd, &(local)->read_fd, &(local)->sockops_link_fd,    \
			&(local)->message_link_fd, &(local)->read_link_fd, &(local)->closed_socket_fd,       \
			&(local)->closed_socket_peer_fd                                                      \
	}
enum { LOCAL_OTHER_COUNT = 8 };
static_assert(LOCAL_MAP_COUNT + LOCAL_OTHER_COUNT + LOCAL_RINGS_MAX <= LOCAL_DESCRIPTORS_MAX,
	      "they have room");

uint32_t local_descriptors(const struct local *local, int ret_fds[LOCAL_DESCRIPTORS_MAX])
{
	const int *const others[LOCAL_OTHER_COUNT] = LOCAL_OTHERS(local);
	uint32_t count = 0;

	for (int map = 0; map < LOCAL_MAP_COUNT; map++)
		ret_fds[count++] = local->map_fds[map];
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		ret_fds[count++] = *others[i];
	for (uint32_t ring = 0; ring < local->ring_count; ring++)
		ret_fds[count++] = local->ring_fds[ring];
	return count;
}

static int sizes_check(const struct local *local, struct text *why)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(local->map_fds[LOCAL_MAP_RECORDS], &info, &len)) {
		text_fmt(why, "cannot read the size of the records: %s", strerror(errno));
		return -errno;
	}
	if (info.value_size == sizeof(struct local_record) && info.max_entries == local->slot_count)
		return 0;
	text_str(why, "the configured sizes differ from theirs");
	return -EPROTO;
}

/* Clears the owners: stale events may still be in the ring buffers. */
static int left_list(struct local *local)
{
	local->is_left = hg_calloc(local->slot_count, sizeof(local->is_left[0]));
	if (!local->is_left)
		return -ENOMEM;
	for (uint32_t i = 0; i < local->slot_count; i++) {
		struct local_user *user = &local->records[i].user;

		local->is_left[i] = user->generation % 2 != 0;
		local->left_count += local->is_left[i];
		if (user->flags & LOCAL_REFUSES)
			user->owner = 0;
	}
	return 0;
}

/* The next key of a map; the first one for key == NULL. False after the last one. */
static bool key_next(int map_fd, const void *key, void *ret_next)
{
	return bpf_map_get_next_key(map_fd, key, ret_next) == 0;
}

static void listeners_each(struct local *local, void (*visit)(int map_fd, const struct local_listener *key))
{
	int fd = local->map_fds[LOCAL_MAP_LISTENERS];
	struct local_listener key, next;
	bool has_next = key_next(fd, NULL, &next);

	for (uint32_t i = 0; i < LOCAL_LISTENERS_MAX && has_next; i++) {
		key = next;
		has_next = key_next(fd, &key, &next);
		visit(fd, &key);
	}
}

/* Until a listener is added again, new connections to it still count as connections to a listener of ours. */
static void listener_age(int map_fd, const struct local_listener *key)
{
	uint32_t flags;

	if (bpf_map_lookup_elem(map_fd, key, &flags))
		return;
	flags |= LOCAL_LISTENER_OLD;
	bpf_map_update_elem(map_fd, key, &flags, BPF_EXIST);
}

static void listener_drop_old(int map_fd, const struct local_listener *key)
{
	uint32_t flags;

	if (bpf_map_lookup_elem(map_fd, key, &flags) == 0 && flags & LOCAL_LISTENER_OLD)
		bpf_map_delete_elem(map_fd, key);
}

void local_listeners_settle(struct local *local)
{
	listeners_each(local, listener_drop_old);
}

static int inherit_steps(struct local *local, const int *fds, struct text *why)
{
	int *const others[LOCAL_OTHER_COUNT] = LOCAL_OTHERS(local);
	int error;

	local->ring_fds = hg_malloc(local->ring_count * sizeof(local->ring_fds[0]));
	local->ring_is_taken = hg_calloc(local->ring_count, sizeof(local->ring_is_taken[0]));
	if (!local->ring_fds || !local->ring_is_taken)
		return -ENOMEM;
	memcpy(local->map_fds, fds, sizeof(local->map_fds));
	fds += LOCAL_MAP_COUNT;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		*others[i] = *fds++;
	memcpy(local->ring_fds, fds, local->ring_count * sizeof(local->ring_fds[0]));
	error = sizes_check(local, why);
	if (!error)
		error = local_map_records(local);
	return error ? error : left_list(local);
}

/* Forgets all descriptors: after a failure they stay the caller's. */
static void local_disown(struct local *local)
{
	int *const others[LOCAL_OTHER_COUNT] = LOCAL_OTHERS(local);

	for (int map = 0; map < LOCAL_MAP_COUNT; map++)
		local->map_fds[map] = -1;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		*others[i] = -1;
	for (uint32_t ring = 0; local->ring_fds && ring < local->ring_count; ring++)
		local->ring_fds[ring] = -1;
}

int local_inherit(const int *fds, uint32_t count, const struct local_options *options,
		  struct local **ret_local, struct text *why)
{
	uint32_t ring_count = options->worker_count ? options->worker_count : 1;
	struct local *local;
	int error;

	if (count != LOCAL_MAP_COUNT + LOCAL_OTHER_COUNT + ring_count) {
		text_fmt(why, "unexpected number of descriptors: %u", count);
		return -EPROTO;
	}
	local = local_alloc(options);
	error = local ? inherit_steps(local, fds, why) : -ENOMEM;
	if (error) {
		if (!why->len)
			text_str(why, strerrordesc_np(-error));
		if (local)
			local_disown(local);
		local_free(local);
		return error;
	}
	listeners_each(local, listener_age);
	*ret_local = local;
	return 0;
}

/* ---------------------------------------------------------------------------------------- slots */

/* False: the slot was not left by the crashed process, or was resumed before. */
static bool slot_claim(struct local *local, struct local_handle slot)
{
	bool is_ours;

	if (slot.index >= local->slot_count)
		return false;
	pthread_mutex_lock(&local->lock);
	is_ours = local->is_left && local->is_left[slot.index] &&
		  local->records[slot.index].user.generation == slot.generation;
	if (is_ours) {
		local->is_left[slot.index] = false;
		local->left_count--;
	}
	pthread_mutex_unlock(&local->lock);
	return is_ours;
}

/* Deletes the entries of left slots from a map of cookies. */
static void cookies_sweep(const struct local *local, int map_fd, const bool *is_left)
{
	uint64_t cookie, next;
	bool has_next = key_next(map_fd, NULL, &next);
	struct local_handle slot;

	/* Other threads may add entries meanwhile, one for each of their slots. */
	for (uint32_t i = 0; i < 2 * local->slot_count && has_next; i++) {
		cookie = next;
		has_next = key_next(map_fd, &cookie, &next);
		if (bpf_map_lookup_elem(map_fd, &cookie, &slot) == 0 && slot.index < local->slot_count &&
		    is_left[slot.index])
			bpf_map_delete_elem(map_fd, &cookie);
	}
}

uint32_t local_sweep(struct local *local)
{
	uint32_t count;
	bool *is_left;

	pthread_mutex_lock(&local->lock);
	is_left = local->is_left;
	count = local->left_count;
	local->is_left = NULL;
	pthread_mutex_unlock(&local->lock);
	for (uint32_t i = 0; is_left && i < local->slot_count; i++) {
		if (is_left[i])
			__atomic_store_n(&local->records[i].user.mode, LOCAL_MODE_CLOSED, __ATOMIC_RELEASE);
	}
	if (count) {
		cookies_sweep(local, local->map_fds[LOCAL_MAP_OF], is_left);
		cookies_sweep(local, local->map_fds[LOCAL_MAP_BYPASS_OF], is_left);
	}
	for (uint32_t i = 0; is_left && i < local->slot_count; i++) {
		if (!is_left[i])
			continue;
		/* Keep slot counts correct: the slot must not count both as free and as left. */
		pthread_mutex_lock(&local->lock);
		local->left_count--;
		pthread_mutex_unlock(&local->lock);
		local_slot_give(local, (struct local_handle){ i, local->records[i].user.generation });
	}
	hg_free(is_left);
	return count;
}

/* ---------------------------------------------------------------------------------------- a bypass */

/*
 * Looks in the records, because the sockops program forgets a socket when TCP closes it, although received
 * bytes may still be unread. Returns 0; -ENOENT: it did not bypass TCP; -EBUSY: not both directions are
 * there, or another connection has one.
 */
static int directions_find(struct bypass *bypass)
{
	struct local *local = bypass->local;
	const int map_fd = local->map_fds[LOCAL_MAP_BYPASS_OF];
	struct local_handle in;

	if (bpf_map_lookup_elem(map_fd, &bypass->own_cookie, &bypass->out_slot))
		return -ENOENT;
	if (bypass->out_slot.index >= local->slot_count)
		return -EBUSY;
	bypass->far_cookie = local->records[bypass->out_slot.index].user.target;
	if (bpf_map_lookup_elem(map_fd, &bypass->far_cookie, &in))
		return -EBUSY;
	bypass->in_slot = local->records[bypass->out_slot.index].user.back;
	if (in.index != bypass->in_slot.index || in.generation != bypass->in_slot.generation ||
	    !slot_claim(local, bypass->out_slot))
		return -EBUSY;
	/* Leave the other slot to local_sweep(); without this one it has no effect. */
	if (!slot_claim(local, bypass->in_slot)) {
		local_slot_give(local, bypass->out_slot);
		return -EBUSY;
	}
	bypass->in = &local->records[bypass->in_slot.index];
	bypass->out = &local->records[bypass->out_slot.index];
	return 0;
}

int bypass_resume(struct bypass *bypass, struct local_worker *worker, int fd, uint64_t *ret_received_bytes)
{
	struct local *local = worker->local;
	struct bypass new = { .local = local,
			      .worker = worker,
			      .empty_passed_bytes = UINT64_MAX,
			      .before_bytes = UINT64_MAX,
			      .silent_look = UINT64_MAX };
	int error;

	CHECK(!bypass->local);
	error = local_cookie(fd, &new.own_cookie);
	if (!error)
		error = directions_find(&new);
	if (error)
		return error;
	atomic_fetch_add(&local->bypass_slots, 2);
	atomic_fetch_add(&local->bypass_count, 1);
	*bypass = new;
	bypass_enter(bypass);
	/* If the process ended before bypass_leave(), the next refusal repeats it; within it, do the rest. */
	bypass->has_left = bypass->out->user.mode == LOCAL_MODE_CLOSED;
	if (bypass->has_left) {
		atomic_fetch_sub(&local->bypass_count, 1);
		bpf_map_delete_elem(local->map_fds[LOCAL_MAP_SOCKETS], &bypass->far_cookie);
	}
	/* Nobody has proved that all bypassed bytes are read. */
	if (bypass_receives_tcp(bypass))
		__atomic_store_n(&bypass->in->user.mode, LOCAL_MODE_OPEN, __ATOMIC_RELEASE);
	*ret_received_bytes = bypass->in->user.read_bytes;
	return 0;
}

/* ---------------------------------------------------------------------------------------- a direction */

/* Sets source_cookie and slot. */
static bool is_direction_at(struct local_direction *d, uint64_t source_cookie)
{
	const struct local *local = d->local;

	d->source_cookie = source_cookie;
	return bpf_map_lookup_elem(local->map_fds[LOCAL_MAP_OF], &d->source_cookie, &d->slot) == 0 &&
	       d->slot.index < local->slot_count &&
	       local->records[d->slot.index].user.target == d->target_cookie;
}

/*
 * The sockops program forgets a socket when TCP closes it, but its direction may still have bytes: then
 * search all records.
 */
static bool direction_find(struct local_direction *d, int source_fd, int target_fd)
{
	const struct local *local = d->local;
	struct local_end source;
	int error = local_ends_of(d, source_fd, target_fd, &source);

	/*
	 * -ENOTCONN: the application has closed its socket meanwhile; what it sent is under way, nothing
	 * follows.
	 */
	if (!error || error == -ENOTCONN)
		return is_direction_at(d, d->source_cookie);
	for (uint32_t i = 0; error == -ENOENT && i < local->slot_count; i++) {
		const struct local_user *user = &local->records[i].user;

		if (user->generation % 2 && user->target == d->target_cookie &&
		    is_direction_at(d, user->source) && d->slot.index == i)
			return true;
	}
	return false;
}

int local_direction_resume(struct local_direction *d, struct local *local, int source_fd, int target_fd)
{
	struct local_direction new = { .local = local };

	CHECK(!d->record);
	if (!direction_find(&new, source_fd, target_fd) ||
	    local->records[new.slot.index].user.mode != LOCAL_MODE_OPEN || !slot_claim(local, new.slot))
		return -ENOENT;
	new.record = &local->records[new.slot.index];
	*d = new;
	failpoint(RESUME_LOCAL);
	if (local_direction_check(d) == 0)
		return 0;
	local_direction_stop(d);
	return -EPROTO;
}
