/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins two network namespaces through a TUN device in each: a packet that leaves one side arrives at the
 * other a while later. A round-trip time where the kernel has no netem, and packets as short as Ethernet's.
 *
 *    path_delay NAMESPACE DEVICE NAMESPACE DEVICE MICROSECONDS
 *
 * Says "up" when both devices exist; they need addresses, and go away with the process.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { QUEUE = 1 << 16, BATCH = 256, PACKET_MOST = 65536 };

struct packet {
	int64_t due_ns;
	ssize_t size;
	unsigned char *bytes;
};

/* What one device has sent. head and tail only grow. */
struct side {
	int fd;
	unsigned head, tail;
	struct packet queue[QUEUE];
};

static struct side sides[2];

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int open_device(const char *name, const char *device)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	char path[128];
	int space, fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	space = open(path, O_RDONLY | O_CLOEXEC);
	/* A device lives where its file was opened. */
	if (space < 0 || setns(space, CLONE_NEWNET) || (fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK)) < 0 ||
	    ioctl(fd, TUNSETIFF, &request)) {
		perror(path);
		exit(1);
	}
	close(space);
	return fd;
}

static void take_in(struct side *side, int64_t delay_ns)
{
	unsigned char bytes[PACKET_MOST];

	for (int i = 0; i < BATCH && side->tail - side->head < QUEUE; i++) {
		ssize_t size = read(side->fd, bytes, sizeof(bytes));
		struct packet *packet = &side->queue[side->tail % QUEUE];

		if (size <= 0)
			return;
		packet->bytes = malloc((size_t)size);
		if (!packet->bytes)
			return;
		memcpy(packet->bytes, bytes, (size_t)size);
		packet->size = size;
		packet->due_ns = now_ns() + delay_ns;
		side->tail++;
	}
}

static void give_out(struct side *from, const struct side *to)
{
	int64_t now = now_ns();

	while (from->head != from->tail && from->queue[from->head % QUEUE].due_ns <= now) {
		struct packet *packet = &from->queue[from->head++ % QUEUE];

		/* What the device does not take is lost, as on any path. */
		ssize_t taken = write(to->fd, packet->bytes, (size_t)packet->size);

		(void)taken;
		free(packet->bytes);
	}
}

static int64_t next_due_ns(void)
{
	int64_t due = INT64_MAX;

	for (const struct side *side = sides; side < sides + 2; side++) {
		if (side->head != side->tail && side->queue[side->head % QUEUE].due_ns < due)
			due = side->queue[side->head % QUEUE].due_ns;
	}
	return due;
}

static void wait_for_packets(void)
{
	struct pollfd fds[2] = { { sides[0].fd, POLLIN, 0 }, { sides[1].fd, POLLIN, 0 } };
	int64_t due = next_due_ns(), left = due == INT64_MAX ? 0 : due - now_ns();
	struct timespec timeout = { .tv_nsec = left > 0 ? left : 0 };

	ppoll(fds, 2, due == INT64_MAX ? NULL : &timeout, NULL);
}

int main(int argc, char **argv)
{
	int64_t delay_ns;

	if (argc != 6)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 2; i++)
		sides[i].fd = open_device(argv[1 + 2 * i], argv[2 + 2 * i]);
	delay_ns = strtol(argv[5], NULL, 10) * 1000;
	puts("up");
	fflush(stdout);
	for (;;) {
		wait_for_packets();
		for (int i = 0; i < 2; i++)
			take_in(&sides[i], delay_ns);
		for (int i = 0; i < 2; i++)
			give_out(&sides[i], &sides[!i]);
	}
}
