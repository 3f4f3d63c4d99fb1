/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/near/near_worker.h"

#include <bpf/libbpf.h>
#include <errno.h>

#include "user/base/mem.h"
#include "user/kernel/near/hop.h"
#include "user/kernel/near/near_internal.h"

static int ring_take(struct near *near, uint32_t *ret_ring)
{
	int error = -ENOSPC;

	pthread_mutex_lock(&near->lock);
	for (uint32_t i = 0; i < near->ring_count && error; i++) {
		if (near->ring_is_taken[i])
			continue;
		near->ring_is_taken[i] = true;
		*ret_ring = i;
		error = 0;
	}
	pthread_mutex_unlock(&near->lock);
	return error;
}

static void ring_give(struct near *near, uint32_t ring)
{
	pthread_mutex_lock(&near->lock);
	near->ring_is_taken[ring] = false;
	pthread_mutex_unlock(&near->lock);
}

static int event_take(void *arg, void *data, size_t size)
{
	struct near_worker *worker = arg;
	const struct near_event *event = data;
	const struct near_record *record;
	uint64_t owner;

	if (size < sizeof(*event) || event->slot.index >= worker->near->slot_count)
		return 0;
	record = &worker->near->records[event->slot.index];
	/* A hop that has stopped may also have gone to another thread, or its process has crashed. */
	owner = __atomic_load_n(&record->user.owner, __ATOMIC_ACQUIRE);
	if (owner && record->user.generation == event->slot.generation && record->user.ring == worker->ring)
		hop_tell((struct hop *)(uintptr_t)owner);
	/* A negative value ends this round; the event is consumed nevertheless. */
	return --worker->poll_budget == 0 ? -EINTR : 0;
}

int near_worker_create(struct near *near, struct near_worker **ret_worker)
{
	struct near_worker *worker = hg_calloc(1, sizeof(*worker));
	int error;

	if (!worker)
		return -ENOMEM;
	worker->near = near;
	list_init(&worker->waiting);
	error = ring_take(near, &worker->ring);
	if (error) {
		hg_free(worker);
		return error;
	}
	worker->events = ring_buffer__new(near->ring_fds[worker->ring], event_take, worker, NULL);
	if (!worker->events) {
		error = -errno;
		near_worker_free(worker);
		return error;
	}
	*ret_worker = worker;
	return 0;
}

void near_worker_free(struct near_worker *worker)
{
	if (!worker)
		return;
	ring_buffer__free(worker->events);
	ring_give(worker->near, worker->ring);
	hg_free(worker);
}

int near_worker_fd(const struct near_worker *worker)
{
	return ring_buffer__epoll_fd(worker->events);
}

void near_worker_poll(struct near_worker *worker)
{
	worker->poll_budget = NEAR_POLL_EVENTS;
	ring_buffer__consume(worker->events);
}

bool near_worker_retry(struct near_worker *worker)
{
	struct list asked;

	list_init(&asked);
	list_splice(&asked, &worker->waiting);
	while (!list_is_empty(&asked))
		hop_tell(list_entry(asked.next, struct hop, waiting));
	return !list_is_empty(&worker->waiting);
}
