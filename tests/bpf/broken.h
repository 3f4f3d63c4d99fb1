/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Rules that the tests' own builds of the program (sockmap_broken.bpf.c) and of user/kernel can switch off.
 */
enum break_rule {
	/* of the program */
	BREAK_FIN = 1 << 0, /* a bare FIN is redirected */
	BREAK_FIN_PASS = 1 << 1, /* a bare FIN is passed */
	BREAK_TRIM = 1 << 2, /* overlaps stay */
	BREAK_SEED = 1 << 3, /* the first piece counts from its first byte, not from where the reader was */
	BREAK_EQUALITY = 1 << 4, /* opens although passed bytes are under way */
	BREAK_LIMIT = 1 << 5, /* no budget */
	BREAK_CREDIT = 1 << 6, /* no bound on the backlog */
	BREAK_DROP = 1 << 8, /* a piece without a target is dropped */
	BREAK_WAKE = 1 << 9, /* an event only when an open gate closes */
	BREAK_CHUNK = 1 << 10, /* what the chunk walk refuses is redirected all the same */
	BREAK_WINDOW = 1 << 11, /* the window may starve */
	BREAK_GENERATION = 1 << 12, /* a recycled slot is as good as the old one */
	BREAK_TIGHT = 1 << 17, /* nobody says that small pieces use up the memory of the source */
	LOSE_LATE = 1 << 23, /* breaks no rule: what comes between directions is lost, as the kernel may do */
	PAUSE_REDIRECT = 1 << 20, /* breaks nothing: 10 ms between the decision and the redirect */
	/* of user space */
	BREAK_KICK = 1 << 13, /* bytes from before the insertion are not looked for */
	BREAK_FLUSH = 1 << 14, /* no flush proof */
	BREAK_COUNT = 1 << 15, /* EAGAIN means that everything passed has been read */
	BREAK_LOOK = 1 << 16, /* no second look at the counters before sleeping */
	BREAK_STEPS = 1 << 18, /* a whole window is taken out at once */
	BREAK_ROLES = 1 << 21, /* a socket may be source and target at once */
	BREAK_PROVE = 1 << 22, /* no proof behind a verdict that was taken off */
	BREAK_BARRIER = 1 << 19, /* a stream that is torn down does not wait for running verdicts */
};

/* The same for the same-host lanes: local_broken.bpf.c, and user/kernel/local/local.c. */
enum local_break_rule {
	LOCAL_BREAK_BEHIND = 1 << 0, /* redirects although passed bytes are under way */
	LOCAL_BREAK_UNREAD = 1 << 2, /* into a receiver's queue although bytes wait in its TCP queue */
	LOCAL_BREAK_RECEIVER = 1 << 3, /* no bound on a receiver's queue */
	LOCAL_BREAK_FOREIGN = 1 << 4, /* every client of this host is taken */
	LOCAL_BREAK_GENERATION = 1 << 5, /* a recycled slot is as good as the old one */
	LOCAL_BREAK_SEQUENCE = 1 << 6, /* connections are told apart by their addresses alone */
	LOCAL_BREAK_CLOSED = 1 << 7, /* a closed socket is remembered */
	LOCAL_BREAK_BLOCKING = 1 << 18, /* who waits in recv() may be in the map */
	LOCAL_BREAK_EXECUTABLE = 1 << 19, /* a client that blocks after connect() is not known again */
	LOCAL_BREAK_SMALL = 1 << 8, /* a queued message costs its bytes only */
	/* of user space */
	LOCAL_BREAK_UNSENT = 1 << 9, /* bytes that wait in user space count as forwarded */
	/* of connections that bypass TCP; the order, the bound and the generation are those above */
	BYPASS_BREAK_COUNT = 1 << 10, /* what bypassed TCP is not part of the position of its sender */
	BYPASS_BREAK_MEMORY = 1 << 11, /* redirects while TCP is short of memory */
	BYPASS_BREAK_EMPTY = 1 << 12, /* a short read means that both queues are empty */
	BYPASS_BREAK_UNREAD = 1 << 13, /* closed without a look for what bypassed TCP and was not read */
	BYPASS_BREAK_END = 1 << 14, /* an end is an end */
	BYPASS_BREAK_WAIT =
		1 << 15, /* goes on through TCP behind bytes that bypassed TCP and were not read */
	BYPASS_BREAK_LEAVE = 1 << 17, /* goes on through TCP to a socket that stays in the map */
	BYPASS_BREAK_DRAINED = 1 << 16, /* once silent, always silent */
};
