/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * The sockmap lane: an sk_skb verdict on one gateway socket that redirects to the send side of another one.
 *
 * An skb is redirected whole or passed up whole. It is never split, and never dropped unless it is a bare
 * FIN, because its bytes were acknowledged to the sender already. When in doubt, the verdict passes the skb
 * up. Only the program opens a gate, and only after user space has forwarded every passed byte, so the order
 * of bytes holds without a lock.
 */
#include "bpf/kernel.h"

#include <bpf/bpf_helpers.h>

#include "bpf/abi.h"
#include "bpf/chunked.h"
#include "bpf/maps.h"

char sockmap_license[] SEC("license") = "Dual BSD/GPL";

/* Tests build this file with rules that can be switched off and with a pause; elsewhere both are empty. */
#ifndef BROKEN
#define BROKEN(rule) 0
#define PAUSE(rule)
#endif

#define LOAD(field) (*(const volatile typeof(field) *)&(field))
#define STORE(field, value) (*(volatile typeof(field) *)&(field) = (value))

/*
 * sk_skb_adjust_room() allows 4095 bytes a call. Overlaps can be as long as an skb: segments that arrived
 * while the socket was in use are merged into skbs of hundreds of kilobytes, and a dropped burst is sent
 * again as one.
 */
#define TRIM_STEP 4095u
#define TRIM_STEPS 1024
/*
 * One iteration for each byte of a chunk line and one for each payload: about 400 chunks in one skb, 30 us.
 */
#define WALK_ITERATIONS 4096

struct skb_view {
	struct __sk_buff *skb;
	struct tcp_sock *source;
	struct sockmap_record *gate;
	__u32 index; /* of the gate */
	__u32 len; /* new payload bytes */
};

struct walk {
	struct __sk_buff *skb;
	struct sockmap_kernel *state;
	__u32 end;
};

/* Not inlined, so that it is verified on its own: it is off the fast path and called from several places. */
__noinline int event_send(__u32 index, __u32 reason)
{
	struct sockmap_record *g = bpf_map_lookup_elem(&gates, &index);
	struct sockmap_event event = { .reason = reason };
	struct sockmap_worker_record *record;
	__u32 worker;
	void *ring;

	if (!g)
		return 0;
	worker = g->user.worker;
	event.gate.index = index;
	event.gate.generation = g->user.generation;
	ring = bpf_map_lookup_elem(&rings, &worker);
	if (ring && bpf_ringbuf_output(ring, &event, sizeof(event), 0) == 0) {
		g->kernel.events++;
		return 0;
	}
	g->kernel.lost_events++;
	record = bpf_map_lookup_elem(&workers, &worker);
	if (record)
		__sync_fetch_and_add(&record->lost_events, 1);
	return 0;
}

static __always_inline void gate_close(struct sockmap_record *g, enum sockmap_reason reason)
{
	__u32 key = reason;
	__u64 *count = bpf_map_lookup_elem(&closings, &key);

	/* A softirq may interrupt a verdict that runs in a task, over the socket's backlog. */
	if (count)
		__sync_fetch_and_add(count, 1);
	STORE(g->kernel.reason, reason);
	if (g->kernel.is_open) {
		STORE(g->kernel.is_open, 0);
		g->kernel.closes++;
	}
}

/*
 * Passes the skb up. A sleeping user space must be woken: it sleeps if it saw forwarded == passed after
 * storing forwarded. The atomic add orders our store of passed before the loads that follow, so one of the
 * two sides always sees the other's store.
 */
static __always_inline void skb_pass(const struct skb_view *p, enum sockmap_reason reason)
{
	struct sockmap_record *g = p->gate;
	__u64 before;
	bool was_open = g->kernel.is_open;

	/* For a gate that is already closed, these two reasons are not news. */
	if (was_open || (reason != SOCKMAP_REASON_BEHIND && reason != SOCKMAP_REASON_USER))
		gate_close(g, reason);
	before = __sync_fetch_and_add(&g->kernel.passed_bytes, p->len);
	if (LOAD(g->user.mode) != SOCKMAP_MODE_KERNEL)
		return;
	if (BROKEN(BREAK_WAKE) ? was_open : LOAD(g->user.forwarded_bytes) == before)
		event_send(p->index, reason);
}

/* Runs for the first skb after the socket became a source: until then it received like any other socket. */
static __always_inline void sockmap_seed(const struct skb_view *p)
{
	struct sockmap_kernel *k = &p->gate->kernel;
	__u32 copied_seq = p->source->copied_seq;

	k->next_seq = BROKEN(BREAK_SEED) ? p->skb->cb[0] : copied_seq;
	k->received_base_bytes = p->source->bytes_received - (__u32)(p->source->rcv_nxt - copied_seq) -
				 k->redirected_bytes - k->passed_bytes;
	STORE(k->is_seeded, 1);
}

/*
 * Passed skbs are charged to the source one by one and never merged, so small ones cost many times their
 * length: more than TCP accounted for when it announced its window. Beyond the receive buffer, TCP would take
 * that window back and drop what was sent into it, and then the peer's acknowledgements, too. User space
 * removes the bytes before that: the estimate is that further bytes cost as much as the last ones did, once
 * there are enough of them to tell.
 */
static __always_inline bool skb_is_tight(const struct skb_view *p)
{
	struct tcp_sock *tp = p->source;
	__s64 charged = LOAD(tp->inet_conn.icsk_inet.sk.sk_backlog.rmem_alloc.counter);
	__s64 announced = (__s32)(tp->rcv_wup + tp->rcv_wnd - tp->rcv_nxt);
	__s64 memory_max = LOAD(p->gate->user.memory_max_bytes);
	__s64 unread = (__s32)(p->gate->kernel.next_seq - tp->copied_seq);

	if (announced < 0)
		announced = 0;
	if (unread > 0 && charged > memory_max / 16 && charged > unread)
		announced = (__s64)((__u64)announced * (__u64)charged / (__u64)unread);
	return charged + announced + p->len > memory_max && !BROKEN(BREAK_TIGHT);
}

struct trim {
	struct __sk_buff *skb;
	__u32 left;
	int error;
};

static long trim_step(__u32 iteration, struct trim *t)
{
	__u32 step = t->left < TRIM_STEP ? t->left : TRIM_STEP;

	if (step == 0)
		return 1;
	t->error = (int)bpf_skb_adjust_room(t->skb, -(__s32)step, 0, 0);
	t->left -= step;
	return t->error ? 1 : 0;
}

/* 0: `count` bytes were removed from the start. */
static __always_inline long skb_trim_front(struct __sk_buff *skb, __u32 count)
{
	struct trim t = { .skb = skb, .left = count };

	bpf_loop(TRIM_STEPS, trim_step, &t, 0);
	return t.left || t.error;
}

/* Reduces p->len to the new bytes and moves next_seq past them. Returns NONE or an integrity error. */
static __always_inline enum sockmap_reason skb_sequence(struct skb_view *p)
{
	struct sockmap_kernel *k = &p->gate->kernel;
	__u32 seq = p->skb->cb[0]; /* TCP_SKB_CB(skb)->seq and end_seq */
	__u32 end_seq = p->skb->cb[1];
	__u32 overlap;
	bool has_fin = end_seq - seq != p->len;

	if (end_seq - seq - p->len > 1)
		return SOCKMAP_REASON_INTEGRITY_SEQUENCE;
	if (has_fin)
		/*
		 * The full barrier: either user space sees the FIN, or we see that user space wants an event.
		 */
		__sync_fetch_and_add(&k->fins, 1);
	if (p->len == 0 && !BROKEN(BREAK_FIN))
		return SOCKMAP_REASON_NONE;
	overlap = k->next_seq - seq;
	if ((__s32)overlap < 0)
		return SOCKMAP_REASON_INTEGRITY_GAP;
	if (overlap > 0 && !BROKEN(BREAK_TRIM)) {
		/*
		 * Only the FIN may be new: the acknowledgement was lost and the last bytes were
		 * retransmitted.
		 */
		if (overlap > p->len || (overlap == p->len && !has_fin) || skb_trim_front(p->skb, overlap))
			return SOCKMAP_REASON_INTEGRITY_OVERLAP;
		p->len -= overlap;
		k->trims++;
		k->trimmed_bytes += overlap;
	}
	k->next_seq = seq + overlap + p->len;
	return SOCKMAP_REASON_NONE;
}

/* TCP grows the buffer of a source with its speed, as if all redirected bytes had to wait in it. */
static __always_inline void window_watch(const struct skb_view *p)
{
	struct sockmap_kernel *k = &p->gate->kernel;

	if (!k->is_open || k->is_wide || !(LOAD(p->gate->user.flags) & SOCKMAP_BOUNDED) ||
	    LOAD(p->source->inet_conn.icsk_inet.sk.sk_rcvbuf) <= (__s32)(SOCKMAP_BUFFER_BYTES / 4 * 5))
		return;
	STORE(k->is_wide, 1);
	event_send(p->index, SOCKMAP_REASON_WINDOW);
}

/*
 * Checks whether there is memory for more passed skbs. Reported once; user space then detaches the verdict
 * from the source.
 */
static __always_inline void skb_weigh(const struct skb_view *p)
{
	struct sockmap_kernel *k = &p->gate->kernel;

	if (k->is_tight || LOAD(p->gate->user.mode) != SOCKMAP_MODE_KERNEL || !skb_is_tight(p))
		return;
	STORE(k->is_tight, 1);
	gate_close(p->gate, SOCKMAP_REASON_MEMORY);
	event_send(p->index, SOCKMAP_REASON_MEMORY);
}

/* Walks one byte of a chunk line, or skips one payload. */
static long walk_step(__u32 iteration, struct walk *w)
{
	struct sockmap_kernel *k = w->state;
	__u32 at = k->walk_at;
	__u32 offset = at - k->walk_window_at;

	if (at >= w->end)
		return 1;
	if (k->walk.phase == WALK_DATA) {
		__u32 payload = (__u32)chunk_skip(&k->walk, w->end - at);

		k->walk_payload_bytes += payload;
		k->walk_at = at + payload;
		return 0;
	}
	if (offset >= k->walk_window_len) {
		__u32 want = w->end - at;

		if (want > WALK_WINDOW)
			want = WALK_WINDOW;
		if (want == 0 || bpf_skb_load_bytes(w->skb, at, k->walk_window, want)) {
			k->walk_verdict = WALK_SYNTAX;
			return 1;
		}
		k->walk_window_at = at;
		k->walk_window_len = want;
		offset = 0;
	}
	k->walk_verdict = chunk_take(&k->walk, k->walk_window[offset & (WALK_WINDOW - 1)]);
	if (k->walk_verdict != WALK_COVERED)
		return 1;
	k->walk_at = at + 1;
	return 0;
}

/* Walks with a copy of the state; skb_redirect() commits it. */
static __always_inline enum sockmap_reason skb_walk(const struct skb_view *p)
{
	struct sockmap_kernel *k = &p->gate->kernel;
	struct walk w = { .skb = p->skb, .state = k, .end = p->len };

	k->walk = k->chunk;
	k->walk_at = 0;
	k->walk_window_at = 0;
	k->walk_window_len = 0;
	k->walk_verdict = WALK_COVERED;
	k->walk_payload_bytes = 0;
	bpf_loop(WALK_ITERATIONS, walk_step, &w, 0);
	if (k->walk_verdict == WALK_COVERED)
		return k->walk_at == p->len ? SOCKMAP_REASON_NONE : SOCKMAP_REASON_CHUNK_MANY;
	if (k->walk_verdict == WALK_LAST)
		return SOCKMAP_REASON_CHUNK_LAST;
	return k->walk_verdict == WALK_LONG ? SOCKMAP_REASON_CHUNK_LONG : SOCKMAP_REASON_CHUNK_SYNTAX;
}

/*
 * Segments that arrive while someone holds the source's lock wait in its backlog, and are charged there until
 * the whole backlog is processed. Meanwhile the announced window shrinks by their size, down to zero, and if
 * everything is redirected nothing ever announces a larger one: the sender waits for its persist timer, 200
 * ms and more. A read does announce it, so give user space something to read in time.
 */
static __always_inline bool skb_starves_window(const struct skb_view *p)
{
	__s32 backlog = LOAD(p->source->inet_conn.icsk_inet.sk.sk_backlog.len);
	__s32 size = LOAD(p->source->inet_conn.icsk_inet.sk.sk_rcvbuf);

	return backlog > size >> 1 && !BROKEN(BREAK_WINDOW);
}

/*
 * May this skb join the bytes under way to the target? They must fit the free space of the target's send
 * buffer plus credit_bytes. Within the free space the backlog always drains at once, whatever the far end
 * does. While the gate is open only we add to that queue, so a grant stays valid until it is used up.
 */
static __always_inline enum sockmap_reason skb_room(const struct skb_view *p, bool is_opening)
{
	struct sockmap_record *g = p->gate;
	__s64 charge = (__s64)p->len + SOCKMAP_SKB_OVERHEAD;
	__u32 index = g->user.peer.index;
	__u32 write_seq, backlog;
	__s64 queued, size, room;
	struct bpf_sock *sk;
	struct tcp_sock *tp;

	if (!is_opening && g->kernel.grant_bytes >= charge) {
		g->kernel.grant_bytes -= charge;
		return SOCKMAP_REASON_NONE;
	}
	sk = bpf_map_lookup_elem(&targets, &index);
	if (!sk)
		return SOCKMAP_REASON_NO_PEER;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp) {
		bpf_sk_release(sk);
		return SOCKMAP_REASON_NO_PEER;
	}
	/*
	 * In this order, bytes that move from the backlog to the queue meanwhile are counted twice, never
	 * missed.
	 */
	write_seq = LOAD(tp->write_seq);
	queued = LOAD(tp->inet_conn.icsk_inet.sk.sk_wmem_queued);
	size = LOAD(tp->inet_conn.icsk_inet.sk.sk_sndbuf);
	bpf_sk_release(sk);
	if (is_opening) {
		g->kernel.opened_redirected_bytes = g->kernel.redirected_bytes;
		g->kernel.opened_write_seq = write_seq;
	}
	backlog = (__u32)(g->kernel.redirected_bytes - g->kernel.opened_redirected_bytes) -
		  (write_seq - g->kernel.opened_write_seq);
	room = size - queued - (__s64)backlog + (__s64)LOAD(g->user.credit_bytes);
	if (BROKEN(BREAK_CREDIT))
		room = 1ll << 40;
	if (room < charge)
		return SOCKMAP_REASON_CREDIT;
	g->kernel.grant_bytes = BROKEN(BREAK_CREDIT) ? 0 : room - charge;
	return SOCKMAP_REASON_NONE;
}

/* NONE: redirect. Otherwise: pass, for this reason. */
static __always_inline enum sockmap_reason skb_decide(const struct skb_view *p)
{
	struct sockmap_record *g = p->gate;
	struct sockmap_record *peer;
	bool is_opening = !g->kernel.is_open;
	__u64 position, limit;
	__u32 peer_index;
	enum sockmap_reason reason;

	if (LOAD(g->user.mode) != SOCKMAP_MODE_KERNEL)
		return SOCKMAP_REASON_USER;
	if (g->kernel.integrity_error)
		return g->kernel.integrity_error;
	if (is_opening) {
		if (LOAD(g->user.forwarded_bytes) != g->kernel.passed_bytes && !BROKEN(BREAK_EQUALITY))
			return SOCKMAP_REASON_BEHIND;
		/* The full barrier: what user space stored before mode and forwarded_bytes is read below. */
		__sync_fetch_and_add(&g->kernel.opens, 1);
		g->kernel.chunk = g->user.chunk;
	}
	peer_index = g->user.peer.index;
	peer = bpf_map_lookup_elem(&gates, &peer_index);
	if (!peer || (LOAD(peer->user.generation) != g->user.peer.generation && !BROKEN(BREAK_GENERATION)))
		return SOCKMAP_REASON_NO_PEER;
	position = g->kernel.redirected_bytes + g->kernel.passed_bytes;
	limit = LOAD(g->user.limit_bytes);
	if (position + p->len > limit && !BROKEN(BREAK_LIMIT))
		return SOCKMAP_REASON_LIMIT;
	if (g->user.flags & SOCKMAP_CHUNKED) {
		reason = skb_walk(p);
		if (reason != SOCKMAP_REASON_NONE && !BROKEN(BREAK_CHUNK))
			return reason;
	}
	if (skb_starves_window(p))
		return SOCKMAP_REASON_WINDOW;
	return skb_room(p, is_opening);
}

static __always_inline enum sockmap_reason skb_redirect(const struct skb_view *p)
{
	struct sockmap_record *g = p->gate;
	__u32 peer = g->user.peer.index;

	PAUSE(PAUSE_REDIRECT);
	if (bpf_sk_redirect_map(p->skb, &targets, peer, 0) != SK_PASS)
		return SOCKMAP_REASON_REFUSED;
	STORE(g->kernel.is_open, 1);
	g->kernel.redirected_skbs++;
	if (g->user.flags & SOCKMAP_CHUNKED) {
		g->kernel.chunk = g->kernel.walk;
		STORE(g->kernel.framing_bytes,
		      g->kernel.framing_bytes + p->len - g->kernel.walk_payload_bytes);
	}
	STORE(g->kernel.redirected_bytes, g->kernel.redirected_bytes + p->len);
	if (g->kernel.redirected_bytes + g->kernel.passed_bytes == LOAD(g->user.limit_bytes)) {
		gate_close(g, SOCKMAP_REASON_LIMIT);
		event_send(p->index, SOCKMAP_REASON_LIMIT);
	}
	return SOCKMAP_REASON_NONE;
}

/* NONE: redirected. */
static __always_inline enum sockmap_reason skb_judge(struct skb_view *p)
{
	enum sockmap_reason reason;

	if (!p->gate->kernel.is_seeded)
		sockmap_seed(p);
	reason = skb_sequence(p);
	if (reason != SOCKMAP_REASON_NONE)
		return reason;
	if (p->len == 0 && !BROKEN(BREAK_FIN))
		return SOCKMAP_REASON_FIN;
	reason = skb_decide(p);
	return reason == SOCKMAP_REASON_NONE ? skb_redirect(p) : reason;
}

SEC("sk_skb")
int sockmap_verdict(struct __sk_buff *skb)
{
	__u64 cookie = bpf_get_socket_cookie(skb);
	struct sockmap_handle *handle = bpf_map_lookup_elem(&gate_of, &cookie);
	struct skb_view p = { .skb = skb, .len = skb->len };
	struct bpf_sock *sk = skb->sk;
	enum sockmap_reason reason;

	if (!handle || !sk)
		return SK_PASS;
	p.source = bpf_skc_to_tcp_sock(sk);
	if (!p.source)
		return SK_PASS;
	p.index = handle->index;
	p.gate = bpf_map_lookup_elem(&gates, &p.index);
	if (!p.gate || LOAD(p.gate->user.generation) != handle->generation)
		return SK_PASS;
	if (BROKEN(LOSE_LATE) && LOAD(p.gate->user.mode) == SOCKMAP_MODE_USER)
		return SK_DROP;
	STORE(p.gate->kernel.last_active_ns, bpf_ktime_get_coarse_ns());
	window_watch(&p);
	reason = skb_judge(&p);
	if (reason >= SOCKMAP_REASON_INTEGRITY_GAP && !p.gate->kernel.integrity_error) {
		STORE(p.gate->kernel.integrity_error, reason);
		event_send(p.index, reason);
	}
	if (reason != SOCKMAP_REASON_NONE && p.len > 0) {
		skb_pass(&p, reason);
		skb_weigh(&p);
	}
	if (p.gate->kernel.fins && LOAD(p.gate->user.mode) == SOCKMAP_MODE_KERNEL)
		event_send(p.index, SOCKMAP_REASON_FIN);
	if (BROKEN(BREAK_DROP) && (reason == SOCKMAP_REASON_REFUSED || reason == SOCKMAP_REASON_NO_PEER))
		return SK_DROP;
	/*
	 * A bare FIN carries no byte, and the socket remembers it. A redirect would fail the target with
	 * EPIPE; passing it would fail this socket with EPIPE if it had to wait in its queue (an empty skb
	 * counts as an error in sk_psock_backlog()).
	 */
	if (p.len == 0 && !BROKEN(BREAK_FIN))
		return BROKEN(BREAK_FIN_PASS) ? SK_PASS : SK_DROP;
	return SK_PASS;
}
