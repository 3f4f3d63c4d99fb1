/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/near/near_adopt.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "user/base/check.h"
#include "user/base/failpoint.h"
#include "user/base/mem.h"
#include "user/kernel/near/near_internal.h"
#include "user/kernel/near/near_worker.h"

/* ---------------------------------------------------------------------------------------- the lanes */

/* Their order among the descriptors: after the maps, before the rings. */
#define NEAR_OTHERS(near)                                                                                    \
	{                                                                                                    \
		&(near)->sockops_fd, &(near)->message_fd, &(near)->read_fd, &(near)->sockops_link_fd,        \
			&(near)->message_link_fd, &(near)->read_link_fd, &(near)->dam_fd,                    \
			&(near)->dam_peer_fd                                                                 \
	}
enum { NEAR_OTHER_COUNT = 8 };
static_assert(NEAR_MAP_COUNT + NEAR_OTHER_COUNT + NEAR_RINGS_MAX <= NEAR_DESCRIPTORS_MAX, "they have room");

uint32_t near_descriptors(const struct near *near, int ret_fds[NEAR_DESCRIPTORS_MAX])
{
	const int *const others[NEAR_OTHER_COUNT] = NEAR_OTHERS(near);
	uint32_t count = 0;

	for (int map = 0; map < NEAR_MAP_COUNT; map++)
		ret_fds[count++] = near->map_fds[map];
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		ret_fds[count++] = *others[i];
	for (uint32_t ring = 0; ring < near->ring_count; ring++)
		ret_fds[count++] = near->ring_fds[ring];
	return count;
}

static int sizes_check(const struct near *near, struct text *why)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(near->map_fds[NEAR_MAP_RECORDS], &info, &len)) {
		text_fmt(why, "cannot read the size of the records: %s", strerror(errno));
		return -errno;
	}
	if (info.value_size == sizeof(struct near_record) && info.max_entries == near->slot_count)
		return 0;
	text_str(why, "the configured sizes differ from theirs");
	return -EPROTO;
}

/* Clears the owners: stale events may still be in the ring buffers. */
static int left_list(struct near *near)
{
	near->is_left = hg_calloc(near->slot_count, sizeof(near->is_left[0]));
	if (!near->is_left)
		return -ENOMEM;
	for (uint32_t i = 0; i < near->slot_count; i++) {
		struct near_user *user = &near->records[i].user;

		near->is_left[i] = user->generation % 2 != 0;
		near->left_count += near->is_left[i];
		if (user->flags & NEAR_REFUSES)
			user->owner = 0;
	}
	return 0;
}

/* The next key of a map; the first one for key == NULL. False after the last one. */
static bool key_next(int map_fd, const void *key, void *ret_next)
{
	return bpf_map_get_next_key(map_fd, key, ret_next) == 0;
}

static void listeners_each(struct near *near, void (*visit)(int map_fd, const struct near_listener *key))
{
	int fd = near->map_fds[NEAR_MAP_LISTENERS];
	struct near_listener key, next;
	bool has_next = key_next(fd, NULL, &next);

	for (uint32_t i = 0; i < NEAR_LISTENERS_MAX && has_next; i++) {
		key = next;
		has_next = key_next(fd, &key, &next);
		visit(fd, &key);
	}
}

/* Until a listener is added again, new connections to it still count as connections to a listener of ours. */
static void listener_age(int map_fd, const struct near_listener *key)
{
	uint32_t flags;

	if (bpf_map_lookup_elem(map_fd, key, &flags))
		return;
	flags |= NEAR_LISTENER_OLD;
	bpf_map_update_elem(map_fd, key, &flags, BPF_EXIST);
}

static void listener_drop_old(int map_fd, const struct near_listener *key)
{
	uint32_t flags;

	if (bpf_map_lookup_elem(map_fd, key, &flags) == 0 && flags & NEAR_LISTENER_OLD)
		bpf_map_delete_elem(map_fd, key);
}

void near_listeners_settle(struct near *near)
{
	listeners_each(near, listener_drop_old);
}

static int inherit_steps(struct near *near, const int *fds, struct text *why)
{
	int *const others[NEAR_OTHER_COUNT] = NEAR_OTHERS(near);
	int error;

	near->ring_fds = hg_malloc(near->ring_count * sizeof(near->ring_fds[0]));
	near->ring_is_taken = hg_calloc(near->ring_count, sizeof(near->ring_is_taken[0]));
	if (!near->ring_fds || !near->ring_is_taken)
		return -ENOMEM;
	memcpy(near->map_fds, fds, sizeof(near->map_fds));
	fds += NEAR_MAP_COUNT;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		*others[i] = *fds++;
	memcpy(near->ring_fds, fds, near->ring_count * sizeof(near->ring_fds[0]));
	error = sizes_check(near, why);
	if (!error)
		error = near_map_records(near);
	return error ? error : left_list(near);
}

/* Forgets all descriptors: after a failure they stay the caller's. */
static void near_disown(struct near *near)
{
	int *const others[NEAR_OTHER_COUNT] = NEAR_OTHERS(near);

	for (int map = 0; map < NEAR_MAP_COUNT; map++)
		near->map_fds[map] = -1;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		*others[i] = -1;
	for (uint32_t ring = 0; near->ring_fds && ring < near->ring_count; ring++)
		near->ring_fds[ring] = -1;
}

int near_inherit(const int *fds, uint32_t count, const struct near_options *options, struct near **ret_near,
		 struct text *why)
{
	uint32_t ring_count = options->worker_count ? options->worker_count : 1;
	struct near *near;
	int error;

	if (count != NEAR_MAP_COUNT + NEAR_OTHER_COUNT + ring_count) {
		text_fmt(why, "unexpected number of descriptors: %u", count);
		return -EPROTO;
	}
	near = near_alloc(options);
	error = near ? inherit_steps(near, fds, why) : -ENOMEM;
	if (error) {
		if (!why->len)
			text_str(why, strerrordesc_np(-error));
		if (near)
			near_disown(near);
		near_free(near);
		return error;
	}
	listeners_each(near, listener_age);
	*ret_near = near;
	return 0;
}

/* ---------------------------------------------------------------------------------------- slots */

/* False: the slot was not left by the crashed process, or was resumed before. */
static bool slot_claim(struct near *near, struct near_handle slot)
{
	bool is_ours;

	if (slot.index >= near->slot_count)
		return false;
	pthread_mutex_lock(&near->lock);
	is_ours = near->is_left && near->is_left[slot.index] &&
		  near->records[slot.index].user.generation == slot.generation;
	if (is_ours) {
		near->is_left[slot.index] = false;
		near->left_count--;
	}
	pthread_mutex_unlock(&near->lock);
	return is_ours;
}

/* Deletes the entries of left slots from a map of cookies. */
static void cookies_sweep(const struct near *near, int map_fd, const bool *is_left)
{
	uint64_t cookie, next;
	bool has_next = key_next(map_fd, NULL, &next);
	struct near_handle slot;

	/* Other threads may add entries meanwhile, one for each of their slots. */
	for (uint32_t i = 0; i < 2 * near->slot_count && has_next; i++) {
		cookie = next;
		has_next = key_next(map_fd, &cookie, &next);
		if (bpf_map_lookup_elem(map_fd, &cookie, &slot) == 0 && slot.index < near->slot_count &&
		    is_left[slot.index])
			bpf_map_delete_elem(map_fd, &cookie);
	}
}

uint32_t near_sweep(struct near *near)
{
	uint32_t count;
	bool *is_left;

	pthread_mutex_lock(&near->lock);
	is_left = near->is_left;
	count = near->left_count;
	near->is_left = NULL;
	pthread_mutex_unlock(&near->lock);
	for (uint32_t i = 0; is_left && i < near->slot_count; i++) {
		if (is_left[i])
			__atomic_store_n(&near->records[i].user.mode, NEAR_MODE_CLOSED, __ATOMIC_RELEASE);
	}
	if (count) {
		cookies_sweep(near, near->map_fds[NEAR_MAP_OF], is_left);
		cookies_sweep(near, near->map_fds[NEAR_MAP_HOP_OF], is_left);
	}
	for (uint32_t i = 0; is_left && i < near->slot_count; i++) {
		if (!is_left[i])
			continue;
		/* Keep slot counts correct: the slot must not count both as free and as left. */
		pthread_mutex_lock(&near->lock);
		near->left_count--;
		pthread_mutex_unlock(&near->lock);
		near_slot_give(near, (struct near_handle){ i, near->records[i].user.generation });
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
static int ways_find(struct hop *hop)
{
	struct near *near = hop->near;
	const int map_fd = near->map_fds[NEAR_MAP_HOP_OF];
	struct near_handle in;

	if (bpf_map_lookup_elem(map_fd, &hop->own_cookie, &hop->out_slot))
		return -ENOENT;
	if (hop->out_slot.index >= near->slot_count)
		return -EBUSY;
	hop->far_cookie = near->records[hop->out_slot.index].user.target;
	if (bpf_map_lookup_elem(map_fd, &hop->far_cookie, &in))
		return -EBUSY;
	hop->in_slot = near->records[hop->out_slot.index].user.back;
	if (in.index != hop->in_slot.index || in.generation != hop->in_slot.generation ||
	    !slot_claim(near, hop->out_slot))
		return -EBUSY;
	/* Leave the other slot to near_sweep(); without this one it has no effect. */
	if (!slot_claim(near, hop->in_slot)) {
		near_slot_give(near, hop->out_slot);
		return -EBUSY;
	}
	hop->in = &near->records[hop->in_slot.index];
	hop->out = &near->records[hop->out_slot.index];
	return 0;
}

int hop_adopt(struct hop *hop, struct near_worker *worker, int fd, uint64_t *ret_received_bytes)
{
	struct near *near = worker->near;
	struct hop new = { .near = near,
			   .worker = worker,
			   .empty_passed_bytes = UINT64_MAX,
			   .before_bytes = UINT64_MAX,
			   .silent_look = UINT64_MAX };
	int error;

	CHECK(!hop->near);
	error = near_cookie(fd, &new.own_cookie);
	if (!error)
		error = ways_find(&new);
	if (error)
		return error;
	atomic_fetch_add(&near->hop_count, 1);
	*hop = new;
	hop_enter(hop);
	*ret_received_bytes = hop->in->user.read_bytes;
	return 0;
}

/* ---------------------------------------------------------------------------------------- a direction */

/* Sets source_cookie and slot. */
static bool is_direction_at(struct near_direction *d, uint64_t source_cookie)
{
	const struct near *near = d->near;

	d->source_cookie = source_cookie;
	return bpf_map_lookup_elem(near->map_fds[NEAR_MAP_OF], &d->source_cookie, &d->slot) == 0 &&
	       d->slot.index < near->slot_count &&
	       near->records[d->slot.index].user.target == d->target_cookie;
}

/*
 * The sockops program forgets a socket when TCP closes it, but its direction may still have bytes: then
 * search all records.
 */
static bool direction_find(struct near_direction *d, int source_fd, int target_fd)
{
	const struct near *near = d->near;
	struct near_end source;
	int error = near_ends_of(d, source_fd, target_fd, &source);

	/*
	 * -ENOTCONN: the application has closed its socket meanwhile; what it sent is under way, nothing
	 * follows.
	 */
	if (!error || error == -ENOTCONN)
		return is_direction_at(d, d->source_cookie);
	for (uint32_t i = 0; error == -ENOENT && i < near->slot_count; i++) {
		const struct near_user *user = &near->records[i].user;

		if (user->generation % 2 && user->target == d->target_cookie &&
		    is_direction_at(d, user->source) && d->slot.index == i)
			return true;
	}
	return false;
}

int near_direction_adopt(struct near_direction *d, struct near *near, int source_fd, int target_fd)
{
	struct near_direction new = { .near = near };

	CHECK(!d->record);
	if (!direction_find(&new, source_fd, target_fd) ||
	    near->records[new.slot.index].user.mode != NEAR_MODE_OPEN || !slot_claim(near, new.slot))
		return -ENOENT;
	new.record = &near->records[new.slot.index];
	*d = new;
	failpoint(ADOPT_NEAR);
	if (near_direction_check(d) == 0)
		return 0;
	near_direction_stop(d);
	return -EPROTO;
}
