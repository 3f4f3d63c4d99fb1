/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that sends whatever segments it likes: retransmissions that overlap delivered bytes, with and
 * without new ones, reordered, in big steps. It lives behind a TUN device in a network namespace of this
 * process alone; its TCP is the code below. The server must get every byte once.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "gen/sockmap_broken.skel.h"
#include "tests/bpf/actor.h"
#include "tests/bpf/broken.h"
#include "tests/bpf/rig.h"
#include "tests/bpf/traffic.h"
#include "tests/lib/test.h"
#include "user/base/check.h"

#define GATEWAY "10.99.0.1"
#define CLIENT "10.99.0.2"
#define SEGMENT_MAX 1400

struct raw_client {
	int tun;
	uint16_t port; /* of the gateway */
	uint16_t own_port;
	uint32_t start; /* sequence number of stream byte 0 */
	uint32_t ack;
};

struct packet {
	struct iphdr ip;
	struct tcphdr tcp;
	char payload[SEGMENT_MAX];
};

static uint32_t sum_add(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	if (len % 2)
		sum += (uint32_t)bytes[len - 1] << 8;
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void raw_send(struct raw_client *c, uint32_t seq, uint8_t flags, const char *payload, size_t len)
{
	struct packet p = { 0 };
	size_t tcp_len = sizeof(p.tcp) + len;
	struct {
		uint32_t from, to;
		uint8_t zero, protocol;
		uint16_t len;
	} pseudo;

	assert_true(len <= SEGMENT_MAX);
	p.ip.version = 4;
	p.ip.ihl = 5;
	p.ip.ttl = 64;
	p.ip.protocol = IPPROTO_TCP;
	p.ip.tot_len = htons((uint16_t)(sizeof(p.ip) + tcp_len));
	p.ip.saddr = inet_addr(CLIENT);
	p.ip.daddr = inet_addr(GATEWAY);
	p.ip.check = sum_fold(sum_add(0, &p.ip, sizeof(p.ip)));
	p.tcp.source = htons(c->own_port);
	p.tcp.dest = htons(c->port);
	p.tcp.seq = htonl(seq);
	p.tcp.ack_seq = htonl(c->ack);
	p.tcp.doff = 5;
	p.tcp.window = htons(65535);
	p.tcp.syn = (flags & TH_SYN) != 0;
	p.tcp.ack = (flags & TH_ACK) != 0;
	p.tcp.fin = (flags & TH_FIN) != 0;
	p.tcp.psh = (flags & TH_PUSH) != 0;
	memcpy(p.payload, payload, len);
	memset(&pseudo, 0, sizeof(pseudo));
	pseudo.from = p.ip.saddr;
	pseudo.to = p.ip.daddr;
	pseudo.protocol = IPPROTO_TCP;
	pseudo.len = htons((uint16_t)tcp_len);
	p.tcp.check = sum_fold(sum_add(sum_add(0, &pseudo, sizeof(pseudo)), &p.tcp, tcp_len));
	assert_int_equal(write(c->tun, &p, sizeof(p.ip) + tcp_len), sizeof(p.ip) + tcp_len);
}

/* Waits for the SYN of the gateway's kernel and takes its sequence number. */
static void raw_receive_syn(struct raw_client *c)
{
	for (int i = 0; i < 2000; i++) {
		struct packet p;
		struct pollfd pollfd = { .fd = c->tun, .events = POLLIN };

		if (poll(&pollfd, 1, 10) != 1)
			continue;
		if (read(c->tun, &p, sizeof(p)) < (ssize_t)(sizeof(p.ip) + sizeof(p.tcp)))
			continue;
		if (p.ip.protocol == IPPROTO_TCP && p.tcp.syn && p.tcp.ack &&
		    p.tcp.dest == htons(c->own_port)) {
			c->ack = ntohl(p.tcp.seq) + 1;
			return;
		}
	}
	fail_msg("no SYN+ACK from the gateway's kernel");
}

/* Pattern bytes [from, to) of the stream in one segment. */
static void segment(struct raw_client *c, uint32_t from, uint32_t to, uint8_t flags)
{
	char bytes[SEGMENT_MAX];

	pattern_fill(bytes, 1, from, to - from);
	raw_send(c, c->start + from, (uint8_t)(TH_ACK | TH_PUSH | flags), bytes, to - from);
}

/* ---------------------------------------------------------------------------------------- namespace */

static void interface_ioctl(int fd, unsigned long request, struct ifreq *ifr)
{
	if (ioctl(fd, request, ifr))
		fail_msg("ioctl %lx on %s: %s", request, ifr->ifr_name, strerror(errno));
}

static void address_set(int fd, struct ifreq *ifr, unsigned long request, const char *text)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(text) };

	memcpy(&ifr->ifr_addr, &in, sizeof(in));
	interface_ioctl(fd, request, ifr);
}

static void interface_up(int fd, struct ifreq *ifr)
{
	interface_ioctl(fd, SIOCGIFFLAGS, ifr);
	ifr->ifr_flags |= IFF_UP;
	interface_ioctl(fd, SIOCSIFFLAGS, ifr);
}

/* A namespace with lo and a TUN device for this process; both are gone when it ends. The TUN, or -1. */
static int namespace_enter(void)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	struct ifreq lo = { 0 };
	int tun, control;

	if (unshare(CLONE_NEWNET))
		return -1;
	tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (tun < 0)
		return -1;
	strcpy(ifr.ifr_name, "hgtest0");
	strcpy(lo.ifr_name, "lo");
	interface_ioctl(tun, TUNSETIFF, &ifr);
	control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	interface_up(control, &lo);
	address_set(control, &ifr, SIOCSIFADDR, GATEWAY);
	address_set(control, &ifr, SIOCSIFNETMASK, "255.255.255.0");
	interface_up(control, &ifr);
	close(control);
	return tun;
}

/* ---------------------------------------------------------------------------------------- scenario */

struct overlap {
	struct sockmap *sockmap;
	struct rig *rig;
	struct rig_stream stream; /* client: -1, it is raw */
	struct raw_client raw;
};

static int tun_fd = -1;

static void connect_raw(struct overlap *o)
{
	static uint16_t next_port = 40000;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(GATEWAY) };
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	getsockname(listener, (struct sockaddr *)&address, &len);
	/* Sequence numbers that wrap in the middle of the test. */
	o->raw = (struct raw_client){
		.tun = tun_fd, .port = ntohs(address.sin_port), .own_port = next_port++, .start = 0xffffff80u
	};
	raw_send(&o->raw, o->raw.start - 1, TH_SYN, "", 0);
	raw_receive_syn(&o->raw);
	raw_send(&o->raw, o->raw.start, TH_ACK, "", 0);
	o->stream.front = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(o->stream.front >= 0);
	set_blocking(o->stream.front, false);
	close(listener);
}

static void overlap_open(struct overlap *o, uint32_t broken)
{
	struct sockmap_options options = { .slot_count = 64,
					   .worker_count = 1,
					   .override = { .before_load = rig_break, .arg = &broken } };

	memset(o, 0, sizeof(*o));
	options.override.elf = sockmap_broken_bpf__elf_bytes(&options.override.elf_bytes);
	o->sockmap = rig_sockmap(&options);
	if (tun_fd < 0)
		rig_skip("no network namespace, or no TUN device in it");
	o->rig = rig_create(o->sockmap);
	rig_stream_open(o->rig, &o->stream, NULL);
	/* Its loopback client side is not used. */
	close(o->stream.client);
	close(o->stream.front);
	o->stream.client = -1;
	connect_raw(o);
}

static void overlap_close(struct overlap *o)
{
	rig_stream_close(&o->stream);
	rig_free(o->rig);
	sockmap_free(o->sockmap);
}

/* What the server has got, as the pattern says? Reads a little longer, for bytes too many. */
static bool server_got(struct overlap *o, size_t len)
{
	static char bytes[300000];
	size_t got = receive_some(o->rig, o->stream.server, bytes, len, rig_patience_ms(1000));
	char more;

	return got == len && pattern_check(bytes, 1, 0, len) < 0 &&
	       receive_some(o->rig, o->stream.server, &more, 1, 20) == 0;
}

struct step {
	uint32_t from, to;
};

static const struct overlap_case {
	const char *name;
	struct step steps[8];
	uint32_t len;
	bool always_overlaps; /* trimming must have happened */
} cases[] = {
	{ "a retransmission with new bytes behind the old", { { 0, 100 }, { 0, 300 } }, 300, true },
	{ "a retransmission of the middle with new bytes",
	  { { 0, 200 }, { 100, 500 }, { 499, 700 } },
	  700,
	  true },
	{ "one old byte in front", { { 0, 1 }, { 0, 2 }, { 1, 3 }, { 2, 4 } }, 4, true },
	{ "old bytes alone are TCP's business",
	  { { 0, 100 }, { 0, 100 }, { 20, 80 }, { 100, 200 } },
	  200,
	  false },
	{ "a hole that an overlapping segment closes", { { 200, 400 }, { 0, 100 }, { 50, 250 } }, 400, true },
	{ "segments in reverse order",
	  { { 900, 1200 }, { 600, 900 }, { 300, 600 }, { 0, 300 } },
	  1200,
	  false },
	{ "overlapping segments in reverse order",
	  { { 800, 1200 }, { 500, 900 }, { 200, 600 }, { 0, 300 } },
	  1200,
	  false },
	{ "full segments that overlap by all but one byte",
	  { { 0, 1400 }, { 1, 1401 }, { 2, 1402 }, { 3, 1403 }, { 4, 1404 } },
	  1404,
	  true },
};

static void segments_send(struct overlap *o, const struct overlap_case *c)
{
	for (size_t i = 0; i < ARRAY_LEN(c->steps) && c->steps[i].to > 0; i++) {
		segment(&o->raw, c->steps[i].from, c->steps[i].to, 0);
		rig_turn(o->rig, 1);
	}
}

static bool case_holds(const struct overlap_case *c, uint32_t broken)
{
	struct sockmap_direction_options options = { .framing = SOCKMAP_UNTIL_CLOSE };
	struct overlap o;
	bool holds;

	overlap_open(&o, broken);
	rig_stream_add(&o.stream);
	rig_start(&o.stream.up, &options);
	segments_send(&o, c);
	rig_is_impatient = broken != 0;
	holds = server_got(&o, c->len);
	rig_is_impatient = false;
	if (holds && !broken && c->always_overlaps)
		holds = sockmap_direction_stats(&o.stream.up.direction).trimmed_bytes > 0;
	overlap_close(&o);
	return holds;
}

TEST(every_byte_arrives_once)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (!case_holds(&cases[i], 0))
			fail_msg("%s", cases[i].name);
	}
}

TEST(without_the_trim_bytes_arrive_twice)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (cases[i].always_overlaps && case_holds(&cases[i], BREAK_TRIM))
			fail_msg("nobody noticed: %s", cases[i].name);
	}
}

/* The gate closed, so that user space reads what was trimmed. */
TEST(passed_bytes_are_trimmed_too)
{
	struct sockmap_direction_options options = { .framing = SOCKMAP_LENGTH, .length_bytes = 10 };
	struct overlap o;
	char bytes[600];

	overlap_open(&o, 0);
	rig_stream_add(&o.stream);
	rig_start(&o.stream.up, &options);
	segment(&o.raw, 0, 200, 0);
	segment(&o.raw, 100, 400, 0);
	segment(&o.raw, 390, 600, 0);
	assert_true(server_got(&o, 10));
	assert_int_equal(o.stream.up.end, RIG_DONE);
	assert_int_equal(receive_some(o.rig, o.stream.front, bytes, 590, 20000), 590);
	assert_int_equal(pattern_check(bytes, 1, 10, 590), -1);
	sockmap_socket_note_read(&o.stream.front_socket, 590);
	overlap_close(&o);
}

/*
 * The FIN comes with old bytes, also with nothing else, as after a lost acknowledgement: no integrity error.
 */
TEST(a_fin_on_old_bytes_ends_the_stream)
{
	static const struct step lasts[] = { { 100, 310 }, { 0, 300 }, { 299, 300 }, { 300, 300 } };
	struct sockmap_direction_options options = { .framing = SOCKMAP_UNTIL_CLOSE };

	for (size_t i = 0; i < ARRAY_LEN(lasts); i++) {
		struct overlap o;

		overlap_open(&o, 0);
		rig_stream_add(&o.stream);
		rig_start(&o.stream.up, &options);
		segment(&o.raw, 0, 300, 0);
		rig_turn(o.rig, 1);
		segment(&o.raw, lasts[i].from, lasts[i].to, TH_FIN);
		assert_true(rig_run(o.rig, rig_direction_ended, &o.stream.up, 20000));
		assert_int_equal(o.stream.up.end, RIG_EOF);
		assert_true(server_got(&o, lasts[i].to));
		assert_int_equal(o.rig->worker->integrity_errors, 0);
		overlap_close(&o);
	}
}

/* Random segments over a window that moves on: bytes again and again, and in any order. */
TEST(random_segments_deliver_the_stream)
{
	enum { TOTAL = 200000 };
	struct sockmap_direction_options options = { .framing = SOCKMAP_UNTIL_CLOSE };
	static char got[TOTAL];
	struct overlap o;
	uint64_t random = 17;
	size_t have = 0;

	overlap_open(&o, 0);
	rig_stream_add(&o.stream);
	rig_start(&o.stream.up, &options);
	uint64_t until = now_ms() + 10000;
	while (have < TOTAL && now_ms() < until) {
		/* Around what has arrived: most segments begin in the past. */
		uint32_t from = (uint32_t)have + random_u32(&random) % 1500;
		uint32_t back = random_u32(&random) % 1500;
		uint32_t to;

		from = from > back ? from - back : 0;
		to = from + random_u32(&random) % SEGMENT_MAX + 1;
		if (to > TOTAL)
			to = TOTAL;
		if (to > from)
			segment(&o.raw, from, to, 0);
		rig_turn(o.rig, 0);
		have += receive_some(o.rig, o.stream.server, got + have, TOTAL - have, 0);
	}
	assert_int_equal(have, TOTAL);
	assert_int_equal(pattern_check(got, 1, 0, TOTAL), -1);
	assert_true(sockmap_direction_stats(&o.stream.up.direction).trimmed_bytes > 0);
	assert_int_equal(o.rig->worker->integrity_errors, 0);
	overlap_close(&o);
}

static int enter(void **state)
{
	(void)state;
	tun_fd = namespace_enter();
	return 0;
}

TEST_GROUP(enter, NULL);
