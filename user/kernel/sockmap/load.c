/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/sockmap/load.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "gen/gate.skel.h"
#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/base/mem.h"
#include "user/kernel/common/reasons.h"
#include "user/kernel/sockmap/window.h"

/* The records and the maps with an entry for each socket grow with the slots. */
static const struct object_map maps[GATE_MAP_COUNT] = {
	[GATE_MAP_GATES] = { "gates", 1 },     [GATE_MAP_GATE_OF] = { "gate_of", 1 },
	[GATE_MAP_SOURCES] = { "sources", 1 }, [GATE_MAP_TARGETS] = { "targets", 1 },
	[GATE_MAP_RINGS] = { "rings", 0 },     [GATE_MAP_WORKERS] = { "workers", 0 },
	[GATE_MAP_READERS] = { "readers", 0 }, [GATE_MAP_CLOSINGS] = { "closings", 0 },
	[GATE_MAP_INFO] = { "gate_info", 0 },
};

const char *gate_map_name(enum gate_map map)
{
	return maps[map].name;
}

struct gate *gate_alloc(uint32_t worker_count)
{
	struct gate *gate = hg_calloc(1, sizeof(*gate));

	if (!gate)
		return NULL;
	for (int i = 0; i < GATE_MAP_COUNT; i++)
		gate->map_fds[i] = -1;
	gate->prog_fd = -1;
	gate->link_fd = -1;
	gate->worker_count = worker_count;
	gate->ring_fds = hg_malloc(worker_count * sizeof(gate->ring_fds[0]));
	if (!gate->ring_fds) {
		hg_free(gate);
		return NULL;
	}
	for (uint32_t i = 0; i < worker_count; i++)
		gate->ring_fds[i] = -1;
	return gate;
}

int gate_map_memory(struct gate *gate, const struct gate_options *options)
{
	size_t records_bytes = gate->slots.count * sizeof(struct gate_record);
	size_t workers_bytes = GATE_WORKERS_MAX * sizeof(struct gate_worker_record);
	void *memory;

	memory = mmap(NULL, records_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, gate->map_fds[GATE_MAP_GATES],
		      0);
	if (memory == MAP_FAILED)
		return -errno;
	gate->slots.records = memory;
	memory = mmap(NULL, workers_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		      gate->map_fds[GATE_MAP_WORKERS], 0);
	if (memory == MAP_FAILED)
		return -errno;
	gate->workers = memory;
	gate->slots.max_credit_bytes = options->max_credit_bytes;
	gate->tuned_max_bytes = window_tuned_max_bytes();
	return 0;
}

void gate_free(struct gate *gate)
{
	if (!gate)
		return;
	/* Close the link first: no new psock gets the program while the maps are freed. */
	object_close(&gate->link_fd);
	if (gate->slots.records)
		munmap(gate->slots.records, gate->slots.count * sizeof(struct gate_record));
	if (gate->workers)
		munmap(gate->workers, GATE_WORKERS_MAX * sizeof(struct gate_worker_record));
	for (int i = 0; i < GATE_MAP_COUNT; i++)
		object_close(&gate->map_fds[i]);
	for (uint32_t i = 0; i < gate->worker_count; i++)
		object_close(&gate->ring_fds[i]);
	object_close(&gate->prog_fd);
	hg_free(gate->ring_fds);
	hg_free(gate);
}

/*
 * The kernel lists the maps that a program uses; with these two it lists enough for `bpf status` to read the
 * others. Do not bind the map that the program is attached to: without a link the two would keep each other
 * alive.
 */
static int maps_bind(const struct gate *gate)
{
	static const enum gate_map bound[] = { GATE_MAP_INFO, GATE_MAP_READERS };

	for (size_t i = 0; i < ARRAY_LEN(bound); i++) {
		int error = bpf_prog_bind_map(gate->prog_fd, gate->map_fds[bound[i]], NULL);

		if (error)
			return error;
	}
	return 0;
}

static int info_write(const struct gate *gate)
{
	struct gate_info info = {
		.abi_version = GATE_ABI_VERSION,
		.fingerprint = GATE_ABI_FINGERPRINT,
		.record_bytes = sizeof(struct gate_record),
		.slot_count = gate->slots.count,
		.worker_count = gate->worker_count,
		.loaded_ns = clock_wall_us() * 1000,
	};
	uint32_t key = 0;

	return bpf_map_update_elem(gate->map_fds[GATE_MAP_INFO], &key, &info, BPF_ANY);
}

static int programs_load(struct gate *gate, const struct gate_options *options, const char **ret_step)
{
	const struct object_program program = { .name = "gate_verdict", .ret_fd = &gate->prog_fd };
	struct object_plan plan = {
		.name = "headgate",
		.override = &options->override,
		.slot_count = gate->slots.count,
		.maps = maps,
		.map_count = GATE_MAP_COUNT,
		.ret_map_fds = gate->map_fds,
		.programs = &program,
		.program_count = 1,
	};

	plan.elf = gate_bpf__elf_bytes(&plan.elf_bytes);
	return object_load(&plan, ret_step);
}

static int gate_load_steps(struct gate *gate, const struct gate_options *options, const char **ret_step)
{
	int error = programs_load(gate, options, ret_step);

	if (error)
		return error;
	*ret_step = "creating the rings";
	error = object_rings(gate->map_fds[GATE_MAP_RINGS], "gate_ring", GATE_RING_BYTES, gate->worker_count,
			     gate->ring_fds);
	if (error)
		return error;
	*ret_step = "mapping the records";
	error = gate_map_memory(gate, options);
	if (error)
		return error;
	*ret_step = "describing the maps";
	error = info_write(gate);
	if (!error)
		error = maps_bind(gate);
	if (error)
		return error;
	*ret_step = "attaching the verdict to the sock map";
	return object_attach(gate->prog_fd, gate->map_fds[GATE_MAP_SOURCES], BPF_SK_SKB_VERDICT,
			     &gate->link_fd);
}

int gate_load(const struct gate_options *options, struct gate **ret_gate, struct text *why)
{
	uint32_t worker_count = options->worker_count ? options->worker_count : 1;
	uint32_t slot_count = options->slot_count ? options->slot_count : GATE_SLOTS_DEFAULT;
	const char *step = "";
	struct gate *gate;
	int error;

	if (worker_count > GATE_WORKERS_MAX || slot_count > GATE_SLOTS_MAX || slot_count < 2) {
		text_fmt(why, "%u slots and %u workers: at most %u and %u", slot_count, worker_count,
			 GATE_SLOTS_MAX, GATE_WORKERS_MAX);
		return -EINVAL;
	}
	gate = gate_alloc(worker_count);
	if (!gate) {
		text_str(why, "no memory");
		return -ENOMEM;
	}
	gate->slots.count = slot_count;
	error = gate_load_steps(gate, options, &step);
	if (error) {
		object_explain(why, step, error);
		gate_free(gate);
		return error;
	}
	*ret_gate = gate;
	return 0;
}

int gate_read_closings(const struct gate *gate, uint64_t ret_counts[GATE_REASON_COUNT])
{
	return reason_counts(&gate_reasons, gate->map_fds[GATE_MAP_CLOSINGS], gate->proof_failures,
			     ret_counts);
}

uint32_t gate_count_taken(const struct gate *gate)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < gate->slots.count; i++)
		count += __atomic_load_n(&gate->slots.records[i].user.generation, __ATOMIC_RELAXED) & 1;
	return count;
}

uint32_t gate_count_open(const struct gate *gate)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < gate->slots.count; i++) {
		const struct gate_record *record = &gate->slots.records[i];

		count += (__atomic_load_n(&record->user.generation, __ATOMIC_RELAXED) & 1) &&
			 __atomic_load_n(&record->user.mode, __ATOMIC_RELAXED) == GATE_MODE_KERNEL &&
			 __atomic_load_n(&record->kernel.is_open, __ATOMIC_RELAXED);
	}
	return count;
}

static bool is_taken_as(const struct gate *gate, struct gate_handle slot)
{
	return slot.index < gate->slots.count &&
	       __atomic_load_n(&gate->slots.records[slot.index].user.generation, __ATOMIC_ACQUIRE) ==
		       slot.generation;
}

/*
 * The kernel removes closed sockets from its socket maps, but not their cookies from a hash map: full of old
 * cookies, it would take no new source.
 */
static void cookies_reclaim(struct gate *gate)
{
	int fd = gate->map_fds[GATE_MAP_GATE_OF];
	uint64_t cookie, next;
	bool has_next = bpf_map_get_next_key(fd, NULL, &next) == 0;

	for (uint32_t i = 0; i < gate->slots.count && has_next; i++) {
		struct gate_handle slot;

		cookie = next;
		has_next = bpf_map_get_next_key(fd, &cookie, &next) == 0;
		if (bpf_map_lookup_elem(fd, &cookie, &slot) == 0 && !is_taken_as(gate, slot))
			bpf_map_delete_elem(fd, &cookie);
	}
}

uint32_t gate_reclaim(struct gate *gate, uint64_t age_ns)
{
	uint64_t now_ns = clock_now_ns();
	uint32_t count = 0;

	for (uint32_t i = 0; i < gate->slots.count; i++) {
		uint64_t cookie;

		if (!(__atomic_load_n(&gate->slots.records[i].user.generation, __ATOMIC_RELAXED) & 1))
			continue;
		/* The kernel removes a socket from the map when its last descriptor is closed. */
		if (bpf_map_lookup_elem(gate->map_fds[GATE_MAP_TARGETS], &i, &cookie) != -ENOENT)
			continue;
		count += slots_reclaim(&gate->slots, i, now_ns, age_ns);
	}
	cookies_reclaim(gate);
	return count;
}
