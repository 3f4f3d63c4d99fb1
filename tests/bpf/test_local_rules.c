/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each rule of the same-host lanes twice: kept, the claim holds; broken, it does not. The broken programs are
 * local_broken.bpf.c, the broken user space is compiled into this file.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "gen/local_broken.skel.h"
#include "tests/bpf/actor.h"
#include "tests/bpf/broken.h"
#include "tests/bpf/local_rig.h"
#include "tests/bpf/rig.h"
#include "tests/lib/test.h"

static uint32_t broken;
#define SOCKMAP_BROKEN(rule) (broken & (rule))
#include "user/kernel/local/local.c"

struct scenario {
	struct local *local;
	struct local_tunnel tunnel;
};

static const struct local_tunnel_options plain = { 0 };
static const struct local_tunnel_options small_buffers = { .back_send = 65536,
							   .server_receive = 65536,
							   .front_receive = 65536 };

/* ---------------------------------------------------------------------------------------- helpers */

static bool put(struct scenario *p, int fd, const char *text)
{
	return tunnel_send(&p->tunnel, fd, text, strlen(text), rig_patience_ms(300)) == strlen(text);
}

static bool says(struct scenario *p, int fd, const char *text)
{
	char bytes[256] = "";
	size_t got = tunnel_receive(&p->tunnel, fd, bytes, strlen(text), rig_patience_ms(150));

	return got == strlen(text) && memcmp(bytes, text, got) == 0;
}

static bool is_silent(struct scenario *p, int fd)
{
	char byte;

	return tunnel_receive(&p->tunnel, fd, &byte, 1, 20) == 0;
}

/* A map of the programs that user space has no use for. */
static int map_find(struct local *local, const char *name)
{
	uint32_t ids[16] = { 0 };
	struct bpf_prog_info info = { .nr_map_ids = 16, .map_ids = (uint64_t)(uintptr_t)ids };
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(local->sockops_fd, &info, &len), 0);
	for (uint32_t i = 0; i < info.nr_map_ids && i < 16; i++) {
		struct bpf_map_info map = { 0 };
		uint32_t map_len = sizeof(map);
		int fd = bpf_map_get_fd_by_id(ids[i]);

		assert_int_equal(bpf_obj_get_info_by_fd(fd, &map, &map_len), 0);
		if (strcmp(map.name, name) == 0)
			return fd;
		close(fd);
	}
	fail_msg("no map %s", name);
	return -1;
}

/* ---------------------------------------------------------------------------------------- scenarios */

/* Bytes that passed before the gate opens are still in the gateway when the next ones are sent. */
static bool scenario_overtaking(struct scenario *p)
{
	struct local_tunnel *t = &p->tunnel;
	struct local_direction_options options = { .source_fd = t->front, .target_fd = t->back };

	assert_int_equal(send(t->client, "first ", 6, 0), 6);
	/* Started, and nothing forwarded. */
	assert_int_equal(local_direction_start(&t->up.direction, p->local, &options), 0);
	assert_int_equal(send(t->client, "second", 6, 0), 6);
	return says(p, t->server, "first second");
}

/* The same with bytes that user space has read and not sent. */
static bool scenario_unsent(struct scenario *p)
{
	struct local_tunnel *t = &p->tunnel;
	struct local_direction_options options = { .source_fd = t->front,
						   .target_fd = t->back,
						   .unsent_bytes = 6 };

	assert_int_equal(send(t->client, "first ", 6, 0), 6);
	t->up.end = (size_t)recv(t->front, t->up.buffer, 6, 0);
	assert_int_equal(t->up.end, 6);
	assert_int_equal(local_direction_start(&t->up.direction, p->local, &options), 0);
	assert_int_equal(send(t->client, "second", 6, 0), 6);
	return says(p, t->server, "first second");
}

static bool has_first(void *arg)
{
	struct local_tunnel *t = arg;
	char bytes[6];

	return recv(t->server, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT) == sizeof(bytes);
}

/* Bytes that came through TCP are not read when the receiver's other queue is tried. */
static bool scenario_unread(struct scenario *p)
{
	struct local_tunnel *t = &p->tunnel;

	put(p, t->client, "first ");
	assert_true(tunnel_run(t, has_first, t, 20000));
	tunnel_start(t);
	put(p, t->client, "second");
	return says(p, t->server, "first second");
}

/* A reader that stops for good. */
static bool scenario_stopped_receiver(struct scenario *p)
{
	struct local_tunnel *t = &p->tunnel;

	tunnel_start(t);
	return tunnel_fill(t, t->client, 4, 0, 32 << 20, 50) < 12 << 20;
}

/* A connection that has nothing to do with us. */
static bool scenario_foreign(struct scenario *p)
{
	int before = rig_count_elements(p->local->map_fds[LOCAL_MAP_SOCKETS]);
	int fds[2];
	int after;

	rig_connect(AF_INET, fds, 0, 0, 0, 0);
	after = rig_count_elements(p->local->map_fds[LOCAL_MAP_SOCKETS]);
	close(fds[0]);
	close(fds[1]);
	return before == 2 && after == 2;
}

/* A stale entry of a socket whose slot belongs to somebody else by now. */
static bool scenario_recycled_slot(struct scenario *p)
{
	struct local_tunnel *t = &p->tunnel, other;
	struct local_direction_options options;
	struct local_handle stale;
	bool is_safe;

	tunnel_start(t);
	stale = t->up.direction.slot;
	uint64_t cookie = t->up.direction.source_cookie;
	local_direction_stop(&t->up.direction);
	assert_int_equal(bpf_map_update_elem(p->local->map_fds[LOCAL_MAP_OF], &cookie, &stale, BPF_ANY), 0);
	/* Next, and rested. */
	p->local->free_slots[p->local->free_first] = (struct local_free_slot){ .index = stale.index };
	tunnel_open(p->local, &other, &plain);
	options = (struct local_direction_options){ .source_fd = other.front, .target_fd = other.back };
	assert_int_equal(local_direction_start(&other.up.direction, p->local, &options), 0);
	assert_int_equal(other.up.direction.slot.index, stale.index);
	/* As if both connections had begun alike: only the generation tells them apart. */
	struct local_end end;
	assert_int_equal(bpf_map_lookup_elem(p->local->map_fds[LOCAL_MAP_ENDS], &cookie, &end), 0);
	other.up.direction.record->user.first_seq = end.first_seq;
	put(p, t->client, "secret");
	is_safe = is_silent(p, other.server) && says(p, t->server, "secret");
	tunnel_close(&other);
	return is_safe;
}

/* A connection with addresses that we expect, but not the one that we expect. */
static bool scenario_same_addresses(struct scenario *p)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in own = address;
	struct local_connection key = { 0 };
	struct local_expected value = { 0 };
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	int before = rig_count_elements(p->local->map_fds[LOCAL_MAP_SOCKETS]);
	int map_fd = map_find(p->local, "local_expected");
	int after;

	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(bind(client, (struct sockaddr *)&own, len), 0);
	assert_int_equal(getsockname(client, (struct sockaddr *)&own, &len), 0);
	key.active_address[2] = key.passive_address[2] = htonl(0xffff);
	key.active_address[3] = key.passive_address[3] = htonl(INADDR_LOOPBACK);
	key.active_port = ntohs(own.sin_port);
	key.passive_port = ntohs(address.sin_port);
	assert_int_equal(local_cookie(p->tunnel.back, (uint64_t *)&value.active), 0);
	assert_int_equal(bpf_map_update_elem(map_fd, &key, &value, BPF_ANY), 0);
	assert_int_equal(local_announce(p->local, p->tunnel.back), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, len), 0);
	after = rig_count_elements(p->local->map_fds[LOCAL_MAP_SOCKETS]);
	close(map_fd);
	close(client);
	close(listener);
	return before == after;
}

/* All that is known of a connection goes with it. */
static bool scenario_closed(struct scenario *p)
{
	int before = rig_count_elements(p->local->map_fds[LOCAL_MAP_ENDS]);
	struct local_tunnel other;

	tunnel_open(p->local, &other, &plain);
	assert_int_equal(rig_count_elements(p->local->map_fds[LOCAL_MAP_ENDS]), before + 4);
	put(p, p->tunnel.client, "x");
	/* A reset leaves no TIME_WAIT and no FIN to wait for. */
	struct linger linger = { .l_onoff = 1 };
	for (int *fd = &other.client; fd <= &other.server; fd++)
		setsockopt(*fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	tunnel_close(&other);
	return rig_count_elements(p->local->map_fds[LOCAL_MAP_ENDS]) == before;
}

struct rule {
	const char *name;
	uint32_t bit;
	bool (*scenario)(struct scenario *scenario);
	const struct local_tunnel_options *options;
};

static bool rule_holds(const struct rule *rule, uint32_t broken_now)
{
	struct local_options options = { .direction_count = 64,
					 .override = { .before_load = rig_break, .arg = &broken } };
	struct scenario scenario = { 0 };
	bool holds;

	broken = broken_now;
	options.override.elf = local_broken_bpf__elf_bytes(&options.override.elf_bytes);
	rig_is_impatient = broken_now != 0;
	scenario.local = local_rig_load(&options);
	tunnel_open(scenario.local, &scenario.tunnel, rule->options);
	holds = rule->scenario(&scenario);
	tunnel_close(&scenario.tunnel);
	local_free(scenario.local);
	rig_is_impatient = false;
	broken = 0;
	return holds;
}

static void check_rule(void **state)
{
	const struct rule *rule = *state;

	assert_true(rule_holds(rule, 0));
	if (rule_holds(rule, rule->bit))
		fail_msg("the rule \"%s\" was off and nobody noticed", rule->name);
}

static struct rule rules[] = {
	{ "nothing overtakes what has passed", LOCAL_BREAK_BEHIND, scenario_overtaking, &plain },
	{ "nothing overtakes what user space holds", LOCAL_BREAK_UNSENT, scenario_unsent, &plain },
	{ "TCP bytes are read before direct ones follow", LOCAL_BREAK_UNREAD, scenario_unread,
	  &small_buffers },
	{ "a receiver's queue is bounded", LOCAL_BREAK_RECEIVER, scenario_stopped_receiver, &small_buffers },
	{ "no other socket is taken", LOCAL_BREAK_FOREIGN, scenario_foreign, &plain },
	{ "a recycled slot is inert", LOCAL_BREAK_GENERATION, scenario_recycled_slot, &plain },
	{ "sequence numbers tell connections apart", LOCAL_BREAK_SEQUENCE, scenario_same_addresses, &plain },
	{ "a closed socket is forgotten", LOCAL_BREAK_CLOSED, scenario_closed, &plain },
};

/* test_local_rules [pattern] */

TEST_ROWS(check_rule, rules);
