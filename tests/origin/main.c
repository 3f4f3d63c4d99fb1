/* SPDX-License-Identifier: Apache-2.0 */
/* httpbin: the demo backend, the backend of every scenario test and of the benchmarks. See README.md. */
#include "tests/origin/options.h"
#include "tests/origin/pattern.h"
#include "tests/origin/server.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static struct options options;
	sigset_t signals;
	int number, status = options_parse(argc, argv, &options);

	if (status != 0)
		return status - 1;
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	pattern_init();
	if (!server_start(&options))
		return 1;
	sigwait(&signals, &number);
	if (options.unix_path)
		unlink(options.unix_path);
	_exit(0);
}
