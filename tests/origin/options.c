/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/options.h"
#include "tests/origin/text.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
	"usage: httpbin [options]\n"
	"  --port N                 TCP port (8000); 0 takes a free one\n"
	"  --addr A                 numeric address to listen on (every IPv6 and IPv4 address)\n"
	"  --unix PATH              listen on a Unix socket instead\n"
	"  --workers N              threads (1)\n"
	"  --name S                 send the field x-origin: S\n"
	"  --date                   send Date\n"
	"  --keep-alive-timeout S   send Keep-Alive: timeout=S and close connections idle that long\n"
	"  --close-idle-ms N        close used, idle connections after N ms without saying so before\n"
	"  --tcp-echo               raw TCP: send everything back\n"
	"  --tcp-source N           raw TCP: send N bytes of the pattern, then FIN\n"
	"  --tcp-sink               raw TCP: read until FIN, answer one line with count and checksum\n"
	"  --tcp-discard-after N    raw TCP: read N bytes, then close\n"
	"  --tcp-reset-after N      raw TCP: read N bytes, then RST\n"
	"  --rate-limit N           raw TCP readers take at most N bytes/s\n"
	"  --quiet                  nothing on stderr about single connections\n"
	"  --help\n";

enum option_code {
	OPT_PORT = 1,
	OPT_ADDR,
	OPT_UNIX,
	OPT_WORKERS,
	OPT_NAME,
	OPT_DATE,
	OPT_KEEP_ALIVE,
	OPT_CLOSE_IDLE,
	OPT_ECHO,
	OPT_SOURCE,
	OPT_SINK,
	OPT_DISCARD,
	OPT_RESET,
	OPT_RATE,
	OPT_QUIET,
	OPT_HELP,
};

static const struct option option_table[] = {
	{ "port", required_argument, NULL, OPT_PORT },
	{ "addr", required_argument, NULL, OPT_ADDR },
	{ "unix", required_argument, NULL, OPT_UNIX },
	{ "workers", required_argument, NULL, OPT_WORKERS },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "date", no_argument, NULL, OPT_DATE },
	{ "keep-alive-timeout", required_argument, NULL, OPT_KEEP_ALIVE },
	{ "close-idle-ms", required_argument, NULL, OPT_CLOSE_IDLE },
	{ "tcp-echo", no_argument, NULL, OPT_ECHO },
	{ "tcp-source", required_argument, NULL, OPT_SOURCE },
	{ "tcp-sink", no_argument, NULL, OPT_SINK },
	{ "tcp-discard-after", required_argument, NULL, OPT_DISCARD },
	{ "tcp-reset-after", required_argument, NULL, OPT_RESET },
	{ "rate-limit", required_argument, NULL, OPT_RATE },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static bool number_parse(const char *name, const char *argument, uint64_t max, uint64_t *ret)
{
	struct text text = { argument, strlen(argument) };
	uint64_t number;

	if (text_u64(text, &number) && number <= max) {
		*ret = number;
		return true;
	}
	fprintf(stderr, "httpbin: --%s needs a number from 0 to %llu, not \"%s\"\n", name,
		(unsigned long long)max, argument);
	return false;
}

static bool option_apply(struct options *options, int code, const char *name, const char *argument)
{
	uint64_t number;

	switch ((enum option_code)code) {
	case OPT_PORT:
		if (!number_parse(name, argument, 65535, &number))
			return false;
		options->port = (unsigned)number;
		return true;
	case OPT_WORKERS:
		if (!number_parse(name, argument, 256, &number))
			return false;
		options->workers = number ? (unsigned)number : 1;
		return true;
	case OPT_KEEP_ALIVE:
		return number_parse(name, argument, 1000000, &options->keep_alive_s);
	case OPT_CLOSE_IDLE:
		return number_parse(name, argument, 1000000000, &options->close_idle_ms);
	case OPT_RATE:
		return number_parse(name, argument, INT64_MAX, &options->rate_bytes_per_s);
	case OPT_SOURCE:
		options->mode = MODE_TCP_SOURCE;
		return number_parse(name, argument, INT64_MAX, &options->mode_bytes);
	case OPT_DISCARD:
		options->mode = MODE_TCP_DISCARD;
		return number_parse(name, argument, INT64_MAX, &options->mode_bytes);
	case OPT_RESET:
		options->mode = MODE_TCP_RESET;
		return number_parse(name, argument, INT64_MAX, &options->mode_bytes);
	case OPT_ECHO:
		options->mode = MODE_TCP_ECHO;
		return true;
	case OPT_SINK:
		options->mode = MODE_TCP_SINK;
		return true;
	case OPT_ADDR:
		options->addr = argument;
		return true;
	case OPT_UNIX:
		options->unix_path = argument;
		return true;
	case OPT_NAME:
		options->name = argument;
		return true;
	case OPT_DATE:
		options->has_date = true;
		return true;
	case OPT_QUIET:
		options->is_quiet = true;
		return true;
	case OPT_HELP:
		break;
	}
	return false;
}

int options_parse(int argc, char **argv, struct options *ret)
{
	struct options options = { .port = 8000, .workers = 1, .mode = MODE_HTTP };
	int code, index = 0;

	while ((code = getopt_long(argc, argv, "", option_table, &index)) != -1) {
		if (code == OPT_HELP) {
			fputs(usage, stdout);
			return 1;
		}
		if (code == '?' || !option_apply(&options, code, option_table[index].name, optarg))
			return 3;
	}
	if (optind < argc) {
		fprintf(stderr, "httpbin: \"%s\" is not an option; see --help\n", argv[optind]);
		return 3;
	}
	*ret = options;
	return 0;
}
