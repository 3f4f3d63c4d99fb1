/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/sockmap/load.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "gen/sockmap.skel.h"
#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/base/mem.h"
#include "user/kernel/common/reasons.h"
#include "user/kernel/sockmap/window.h"

/* The records and the maps with an entry for each socket grow with the slots. */
static const struct object_map maps[SOCKMAP_MAP_COUNT] = {
	[SOCKMAP_MAP_GATES] = { "gates", 1 },	    [SOCKMAP_MAP_GATE_OF] = { "gate_of", 1 },
	[SOCKMAP_MAP_SOURCES] = { "sources", 1 },   [SOCKMAP_MAP_TARGETS] = { "targets", 1 },
	[SOCKMAP_MAP_RINGS] = { "rings", 0 },	    [SOCKMAP_MAP_WORKERS] = { "workers", 0 },
	[SOCKMAP_MAP_READERS] = { "readers", 0 },   [SOCKMAP_MAP_CLOSINGS] = { "closings", 0 },
	[SOCKMAP_MAP_INFO] = { "sockmap_info", 0 },
};

const char *sockmap_map_name(enum sockmap_map map)
{
	return maps[map].name;
}

struct sockmap *sockmap_alloc(uint32_t worker_count)
{
	struct sockmap *sockmap = hg_calloc(1, sizeof(*sockmap));

	if (!sockmap)
		return NULL;
	for (int i = 0; i < SOCKMAP_MAP_COUNT; i++)
		sockmap->map_fds[i] = -1;
	sockmap->prog_fd = -1;
	sockmap->link_fd = -1;
	sockmap->worker_count = worker_count;
	sockmap->ring_fds = hg_malloc(worker_count * sizeof(sockmap->ring_fds[0]));
	if (!sockmap->ring_fds) {
		hg_free(sockmap);
		return NULL;
	}
	for (uint32_t i = 0; i < worker_count; i++)
		sockmap->ring_fds[i] = -1;
	return sockmap;
}

int sockmap_map_memory(struct sockmap *sockmap, const struct sockmap_options *options)
{
	size_t records_bytes = sockmap->slots.count * sizeof(struct sockmap_record);
	size_t workers_bytes = SOCKMAP_WORKERS_MAX * sizeof(struct sockmap_worker_record);
	void *memory;

	memory = mmap(NULL, records_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		      sockmap->map_fds[SOCKMAP_MAP_GATES], 0);
	if (memory == MAP_FAILED)
		return -errno;
	sockmap->slots.records = memory;
	memory = mmap(NULL, workers_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		      sockmap->map_fds[SOCKMAP_MAP_WORKERS], 0);
	if (memory == MAP_FAILED)
		return -errno;
	sockmap->workers = memory;
	sockmap->slots.max_credit_bytes = options->max_credit_bytes;
	sockmap->tuned_max_bytes = window_tuned_max_bytes();
	return 0;
}

void sockmap_free(struct sockmap *sockmap)
{
	if (!sockmap)
		return;
	/* Close the link first: no new psock gets the program while the maps are freed. */
	object_close(&sockmap->link_fd);
	if (sockmap->slots.records)
		munmap(sockmap->slots.records, sockmap->slots.count * sizeof(struct sockmap_record));
	if (sockmap->workers)
		munmap(sockmap->workers, SOCKMAP_WORKERS_MAX * sizeof(struct sockmap_worker_record));
	for (int i = 0; i < SOCKMAP_MAP_COUNT; i++)
		object_close(&sockmap->map_fds[i]);
	for (uint32_t i = 0; i < sockmap->worker_count; i++)
		object_close(&sockmap->ring_fds[i]);
	object_close(&sockmap->prog_fd);
	hg_free(sockmap->ring_fds);
	hg_free(sockmap);
}

/*
 * The kernel lists the maps that a program uses; with these two it lists enough for `bpf status` to read the
 * others. Do not bind the map that the program is attached to: without a link the two would keep each other
 * alive.
 */
static int maps_bind(const struct sockmap *sockmap)
{
	static const enum sockmap_map bound[] = { SOCKMAP_MAP_INFO, SOCKMAP_MAP_READERS };

	for (size_t i = 0; i < ARRAY_LEN(bound); i++) {
		int error = bpf_prog_bind_map(sockmap->prog_fd, sockmap->map_fds[bound[i]], NULL);

		if (error)
			return error;
	}
	return 0;
}

static int info_write(const struct sockmap *sockmap)
{
	struct sockmap_info info = {
		.abi_version = SOCKMAP_ABI_VERSION,
		.fingerprint = SOCKMAP_ABI_FINGERPRINT,
		.record_bytes = sizeof(struct sockmap_record),
		.slot_count = sockmap->slots.count,
		.worker_count = sockmap->worker_count,
		.loaded_ns = clock_wall_us() * 1000,
	};
	uint32_t key = 0;

	return bpf_map_update_elem(sockmap->map_fds[SOCKMAP_MAP_INFO], &key, &info, BPF_ANY);
}

static int programs_load(struct sockmap *sockmap, const struct sockmap_options *options,
			 const char **ret_step)
{
	const struct object_program program = { .name = "sockmap_verdict", .ret_fd = &sockmap->prog_fd };
	struct object_plan plan = {
		.name = "headgate",
		.override = &options->override,
		.slot_count = sockmap->slots.count,
		.maps = maps,
		.map_count = SOCKMAP_MAP_COUNT,
		.ret_map_fds = sockmap->map_fds,
		.programs = &program,
		.program_count = 1,
	};

	plan.elf = sockmap_bpf__elf_bytes(&plan.elf_bytes);
	return object_load(&plan, ret_step);
}

static int sockmap_load_steps(struct sockmap *sockmap, const struct sockmap_options *options,
			      const char **ret_step)
{
	int error = programs_load(sockmap, options, ret_step);

	if (error)
		return error;
	*ret_step = "creating the rings";
	error = object_rings(sockmap->map_fds[SOCKMAP_MAP_RINGS], "sockmap_ring", SOCKMAP_RING_BYTES,
			     sockmap->worker_count, sockmap->ring_fds);
	if (error)
		return error;
	*ret_step = "mapping the records";
	error = sockmap_map_memory(sockmap, options);
	if (error)
		return error;
	*ret_step = "describing the maps";
	error = info_write(sockmap);
	if (!error)
		error = maps_bind(sockmap);
	if (error)
		return error;
	*ret_step = "attaching the verdict to the sock map";
	return object_attach(sockmap->prog_fd, sockmap->map_fds[SOCKMAP_MAP_SOURCES], BPF_SK_SKB_VERDICT,
			     &sockmap->link_fd);
}

int sockmap_load(const struct sockmap_options *options, struct sockmap **ret_sockmap, struct text *why)
{
	uint32_t worker_count = options->worker_count ? options->worker_count : 1;
	uint32_t slot_count = options->slot_count ? options->slot_count : SOCKMAP_SLOTS_DEFAULT;
	const char *step = "";
	struct sockmap *sockmap;
	int error;

	if (worker_count > SOCKMAP_WORKERS_MAX || slot_count > SOCKMAP_SLOTS_MAX || slot_count < 2) {
		text_fmt(why, "%u slots and %u workers: at most %u and %u", slot_count, worker_count,
			 SOCKMAP_SLOTS_MAX, SOCKMAP_WORKERS_MAX);
		return -EINVAL;
	}
	sockmap = sockmap_alloc(worker_count);
	if (!sockmap) {
		text_str(why, "no memory");
		return -ENOMEM;
	}
	sockmap->slots.count = slot_count;
	error = sockmap_load_steps(sockmap, options, &step);
	if (error) {
		object_explain(why, step, error);
		sockmap_free(sockmap);
		return error;
	}
	*ret_sockmap = sockmap;
	return 0;
}

int sockmap_read_closings(const struct sockmap *sockmap, uint64_t ret_counts[SOCKMAP_REASON_COUNT])
{
	return reason_counts(&sockmap_reasons, sockmap->map_fds[SOCKMAP_MAP_CLOSINGS],
			     sockmap->proof_failures, ret_counts);
}

uint32_t sockmap_count_taken(const struct sockmap *sockmap)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < sockmap->slots.count; i++)
		count += __atomic_load_n(&sockmap->slots.records[i].user.generation, __ATOMIC_RELAXED) & 1;
	return count;
}

uint32_t sockmap_count_open(const struct sockmap *sockmap)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < sockmap->slots.count; i++) {
		const struct sockmap_record *record = &sockmap->slots.records[i];

		count += (__atomic_load_n(&record->user.generation, __ATOMIC_RELAXED) & 1) &&
			 __atomic_load_n(&record->user.mode, __ATOMIC_RELAXED) == SOCKMAP_MODE_KERNEL &&
			 __atomic_load_n(&record->kernel.is_open, __ATOMIC_RELAXED);
	}
	return count;
}

static bool is_taken_as(const struct sockmap *sockmap, struct sockmap_handle slot)
{
	return slot.index < sockmap->slots.count &&
	       __atomic_load_n(&sockmap->slots.records[slot.index].user.generation, __ATOMIC_ACQUIRE) ==
		       slot.generation;
}

/*
 * The kernel removes closed sockets from its socket maps, but not their cookies from a hash map: full of old
 * cookies, it would take no new source.
 */
static void cookies_reclaim(struct sockmap *sockmap)
{
	int fd = sockmap->map_fds[SOCKMAP_MAP_GATE_OF];
	uint64_t cookie, next;
	bool has_next = bpf_map_get_next_key(fd, NULL, &next) == 0;

	for (uint32_t i = 0; i < sockmap->slots.count && has_next; i++) {
		struct sockmap_handle slot;

		cookie = next;
		has_next = bpf_map_get_next_key(fd, &cookie, &next) == 0;
		if (bpf_map_lookup_elem(fd, &cookie, &slot) == 0 && !is_taken_as(sockmap, slot))
			bpf_map_delete_elem(fd, &cookie);
	}
}

uint32_t sockmap_reclaim(struct sockmap *sockmap, uint64_t age_ns)
{
	uint64_t now_ns = clock_now_ns();
	uint32_t count = 0;

	for (uint32_t i = 0; i < sockmap->slots.count; i++) {
		uint64_t cookie;

		if (!(__atomic_load_n(&sockmap->slots.records[i].user.generation, __ATOMIC_RELAXED) & 1))
			continue;
		/* The kernel removes a socket from the map when its last descriptor is closed. */
		if (bpf_map_lookup_elem(sockmap->map_fds[SOCKMAP_MAP_TARGETS], &i, &cookie) != -ENOENT)
			continue;
		count += slots_reclaim(&sockmap->slots, i, now_ns, age_ns);
	}
	cookies_reclaim(sockmap);
	return count;
}
