/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/top/top_screen.h"

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/top/top_client.h"
#include "admin/top/top_view.h"
#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/base/mem.h"

enum {
	HEAD_LINES = 3, /* sum, order, titles */
	FOOT_LINES = 1,
	KEY_ESCAPE = 27,
	ESCAPE_MS = 50, /* an escape sequence is complete after this time */
};

/* What the keys mean at the moment. */
enum screen_mode {
	MODE_LIST,
	MODE_DETAIL,
	MODE_HELP,
	MODE_FILTER, /* the filter is typed */
	MODE_CLOSE, /* "close it?" */
};

struct screen {
	const struct top_options *options;
	struct top_view view;
	struct top_table table;
	uint64_t table_ms; /* when it was read */
	uint64_t due_ms; /* when the next one is read */
	struct text body; /* the response that the table was made from */
	struct text message; /* for the last line; empty: the keys */
	const struct top_row **row_list; /* owner: the shown rows, of the table */
	size_t row_count;
	size_t cursor; /* in row_list */
	size_t first; /* on the screen */
	size_t detail_first; /* line of the details that is on top */
	bool detail_has_more; /* lines below the screen */
	uint64_t selected_id; /* the cursor follows this stream; 0: it stays at the top */
	uint64_t subject_id; /* of MODE_DETAIL and MODE_CLOSE */
	enum screen_mode mode;
	bool is_frozen;
	bool is_done;
};

static const char keys_line[] =
	"q quit  s sort  / filter  p freeze  enter details  c close  h history  ? help";

static const char *const help_lines[] = {
	"up, down, page up, page down, home, end   select a stream",
	"s      next order: rate, bytes, age, time left, endpoint, route",
	"r      reverse the order",
	"/      show streams with a text only: in client, route, endpoint, state, lane,",
	"       timer, protocol, request, reason, or the whole status; enter keeps it,",
	"       escape removes it",
	"p      freeze the list, and go on (also: space)",
	"enter  all that is known of the selected stream; up and down scroll, escape goes",
	"       back",
	"c      close the selected stream, after a question",
	"h      the last streams that ended and why, or the running ones again",
	"q      quit",
	"",
	"STATE is what a stream waits for, TIMER the deadline that expires next, LEFT the",
	"time until then. In the history, WHY is the reason; TIMER says fired if it was a",
	"timer that ended the stream.",
};

/* ---- data */

static const char *path_of(const struct screen *screen)
{
	return screen->view.is_history ? "/streams?history=1" : "/streams";
}

/* Selects the shown rows anew, and keeps the cursor on its stream or, if that ended, on its line. */
static void arrange(struct screen *screen)
{
	screen->row_count = top_view_rows(&screen->view, &screen->table, screen->row_list);
	if (!screen->selected_id)
		screen->cursor = 0;
	for (size_t i = 0; screen->selected_id && i < screen->row_count; i++)
		if (screen->row_list[i]->id == screen->selected_id)
			screen->cursor = i;
	if (screen->cursor >= screen->row_count)
		screen->cursor = screen->row_count ? screen->row_count - 1 : 0;
}

static void replace_table(struct screen *screen, struct top_table *table)
{
	const struct top_row **list = hg_malloc((table->row_count + 1) * sizeof(*list));

	if (!list) {
		top_table_done(table);
		text_str(&screen->message, "no memory");
		return;
	}
	top_table_done(&screen->table);
	hg_free(screen->row_list);
	screen->table = *table;
	screen->row_list = list;
	arrange(screen);
}

static void look(struct screen *screen)
{
	uint64_t now_ms = clock_now_ms();
	struct top_table table;
	struct text body;
	int error;

	text_init(&body);
	text_clear(&screen->message);
	error = top_fetch(span_str(screen->options->admin), "GET", path_of(screen), &body, &screen->message);
	if (!error) {
		error = top_table_parse(text_span(&body), &table);
		if (error)
			text_str(&screen->message, "the list of streams cannot be read");
	}
	if (error) {
		text_done(&body);
		return;
	}
	if (!screen->view.is_history)
		top_table_rates(&table, &screen->table, now_ms - screen->table_ms);
	text_done(&screen->body);
	screen->body = body;
	screen->table_ms = now_ms;
	replace_table(screen, &table);
}

static void close_subject(struct screen *screen)
{
	struct text answer;
	char path[64];
	int error;

	snprintf(path, sizeof(path), "/streams/%llu/close", (unsigned long long)screen->subject_id);
	text_init(&answer);
	text_clear(&screen->message);
	error = top_fetch(span_str(screen->options->admin), "POST", path, &answer, &screen->message);
	if (!error || error == -ESRCH)
		text_fmt(&screen->message, error ? "stream %llu had ended already" : "closed stream %llu",
			 (unsigned long long)screen->subject_id);
	text_done(&answer);
}

/* ---- drawing */

static void put_line(int y, const struct text *text, attr_t attributes)
{
	int columns = getmaxx(stdscr);

	(void)attrset(attributes);
	(void)mvaddnstr(y, 0, text->len ? text->data : "",
			(int)text->len < columns ? (int)text->len : columns);
	/* The whole line in reverse, without wrapping into the next one. */
	if (attributes & A_REVERSE)
		(void)mvchgat(y, 0, -1, attributes, 0, NULL);
	(void)attrset(A_NORMAL);
}

static void put_str(int y, const char *line, attr_t attributes)
{
	struct text text;

	text_init(&text);
	text_str(&text, line);
	put_line(y, &text, attributes);
	text_done(&text);
}

static size_t list_lines(void)
{
	int lines = getmaxy(stdscr) - HEAD_LINES - FOOT_LINES;

	return lines > 0 ? (size_t)lines : 0;
}

static void scroll_to_cursor(struct screen *screen)
{
	size_t lines = list_lines();

	if (screen->cursor < screen->first)
		screen->first = screen->cursor;
	if (lines && screen->cursor >= screen->first + lines)
		screen->first = screen->cursor - lines + 1;
	if (screen->first + lines > screen->row_count)
		screen->first = screen->row_count > lines ? screen->row_count - lines : 0;
}

static void draw_head(const struct screen *screen)
{
	const struct top_view *view = &screen->view;
	size_t columns = (size_t)getmaxx(stdscr);
	struct text line;

	text_init(&line);
	top_view_sum(view, &screen->table, screen->row_count, &line);
	put_line(0, &line, A_NORMAL);
	text_clear(&line);
	text_fmt(&line, "by %s%s%s", top_sort_name(view), view->is_reversed ? ", reversed" : "",
		 screen->is_frozen ? ", frozen" : "");
	if (*view->filter || screen->mode == MODE_FILTER)
		text_fmt(&line, ", filter: %s%s", view->filter, screen->mode == MODE_FILTER ? "_" : "");
	put_line(1, &line, A_NORMAL);
	text_clear(&line);
	top_view_titles(view, columns, &line);
	put_line(2, &line, A_REVERSE);
	text_done(&line);
}

/* In the history, those that a timer ended are bold. */
static void draw_list(struct screen *screen)
{
	size_t lines = list_lines();
	struct text line;

	scroll_to_cursor(screen);
	draw_head(screen);
	text_init(&line);
	for (size_t i = 0; i < lines && screen->first + i < screen->row_count; i++) {
		const struct top_row *row = screen->row_list[screen->first + i];
		attr_t attributes = *row->timer ? A_BOLD : A_NORMAL;

		if (screen->first + i == screen->cursor)
			attributes |= A_REVERSE;
		text_clear(&line);
		top_view_line(&screen->view, row, (size_t)getmaxx(stdscr), &line);
		put_line(HEAD_LINES + (int)i, &line, attributes);
	}
	text_done(&line);
	if (!screen->row_count)
		put_str(HEAD_LINES, screen->table.row_count ? "no stream passes the filter" : "no streams",
			A_NORMAL);
}

static void draw_detail(struct screen *screen)
{
	int y = 2, last = getmaxy(stdscr) - FOOT_LINES;
	size_t skipped = 0;
	struct span rest, part;
	struct text detail, line;

	text_init(&detail);
	text_init(&line);
	text_fmt(&line, "stream %llu", (unsigned long long)screen->subject_id);
	put_line(0, &line, A_BOLD);
	if (top_table_detail(text_span(&screen->body), screen->subject_id, &detail) == -ENOENT)
		text_str(&detail, "it has ended; escape, then h shows why\n");
	rest = text_span(&detail);
	while (y < last && span_split(&rest, '\n', &part)) {
		if (skipped++ < screen->detail_first)
			continue;
		text_clear(&line);
		text_add(&line, part);
		put_line(y++, &line, A_NORMAL);
	}
	screen->detail_has_more = rest.len > 0;
	text_done(&line);
	text_done(&detail);
}

static void draw_help(void)
{
	put_str(0, "headgate top: keys", A_BOLD);
	for (size_t i = 0; i < ARRAY_LEN(help_lines); i++)
		put_str(2 + (int)i, help_lines[i], A_NORMAL);
}

static void draw_foot(const struct screen *screen)
{
	int y = getmaxy(stdscr) - FOOT_LINES;
	struct text line;

	text_init(&line);
	if (screen->mode == MODE_CLOSE)
		text_fmt(&line, "close stream %llu? y: yes, any other key: no",
			 (unsigned long long)screen->subject_id);
	else if (screen->mode == MODE_FILTER)
		text_str(&line, "type a text; enter keeps the filter, escape removes it");
	else if (screen->mode == MODE_DETAIL || screen->mode == MODE_HELP)
		text_str(&line, screen->mode == MODE_HELP ? "escape back  q quit"
							  : "escape back  up, down: scroll  q quit");
	if (line.len)
		put_line(y, &line, A_BOLD);
	else if (screen->message.len)
		put_line(y, &screen->message, A_BOLD);
	else
		put_str(y, keys_line, A_REVERSE);
	text_done(&line);
}

static void draw(struct screen *screen)
{
	(void)erase();
	if (screen->mode == MODE_DETAIL)
		draw_detail(screen);
	else if (screen->mode == MODE_HELP)
		draw_help();
	else
		draw_list(screen);
	draw_foot(screen);
	(void)refresh();
}

/* ---- keys */

static const struct top_row *selected(const struct screen *screen)
{
	return screen->row_count ? screen->row_list[screen->cursor] : NULL;
}

/* The first line is the top, whichever stream is there. */
static void move_to(struct screen *screen, size_t cursor)
{
	screen->cursor = cursor < screen->row_count ? cursor : screen->row_count ? screen->row_count - 1 : 0;
	screen->selected_id = screen->cursor ? selected(screen)->id : 0;
}

static void begin_subject(struct screen *screen, enum screen_mode mode)
{
	const struct top_row *row = selected(screen);

	if (!row || (mode == MODE_CLOSE && screen->view.is_history))
		return;
	screen->subject_id = row->id;
	screen->detail_first = 0;
	screen->mode = mode;
}

static void switch_history(struct screen *screen)
{
	screen->view.is_history = !screen->view.is_history;
	screen->is_frozen = false;
	screen->selected_id = 0;
	top_table_done(&screen->table);
	arrange(screen);
	screen->due_ms = 0;
}

static bool move_key(struct screen *screen, int key)
{
	size_t page = list_lines(), cursor = screen->cursor;

	switch (key) {
	case KEY_UP:
		move_to(screen, cursor ? cursor - 1 : 0);
		return true;
	case KEY_DOWN:
		move_to(screen, cursor + 1);
		return true;
	case KEY_PPAGE:
		move_to(screen, cursor > page ? cursor - page : 0);
		return true;
	case KEY_NPAGE:
		move_to(screen, cursor + page);
		return true;
	case KEY_HOME:
		move_to(screen, 0);
		return true;
	case KEY_END:
		move_to(screen, screen->row_count);
		return true;
	default:
		return false;
	}
}

static void list_key(struct screen *screen, int key)
{
	struct top_view *view = &screen->view;

	if (move_key(screen, key))
		return;
	switch (key) {
	case 'q':
		screen->is_done = true;
		return;
	case 's':
		view->sort = (view->sort + 1) % top_sort_count();
		break;
	case 'r':
		view->is_reversed = !view->is_reversed;
		break;
	case '/':
		screen->mode = MODE_FILTER;
		return;
	case KEY_ESCAPE:
		view->filter[0] = '\0';
		break;
	case 'p':
	case ' ':
		screen->is_frozen = !screen->is_frozen;
		return;
	case '\n':
	case KEY_ENTER:
		begin_subject(screen, MODE_DETAIL);
		return;
	case 'c':
		begin_subject(screen, MODE_CLOSE);
		return;
	case 'h':
		switch_history(screen);
		return;
	case '?':
		screen->mode = MODE_HELP;
		return;
	default:
		return;
	}
	arrange(screen);
}

static void filter_key(struct screen *screen, int key)
{
	char *filter = screen->view.filter;
	size_t len = strlen(filter);

	if (key == '\n' || key == KEY_ENTER || key == KEY_ESCAPE)
		screen->mode = MODE_LIST;
	if (key == KEY_ESCAPE)
		filter[0] = '\0';
	else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && len)
		filter[len - 1] = '\0';
	else if (key >= 0x20 && key < 0x7f && len + 1 < TOP_FILTER_BYTES)
		memcpy(filter + len, (char[]){ (char)key, '\0' }, 2);
	arrange(screen);
}

/* In details and help. */
static void page_key(struct screen *screen, int key)
{
	if (key == KEY_DOWN && screen->detail_has_more)
		screen->detail_first++;
	if (key == KEY_UP && screen->detail_first)
		screen->detail_first--;
	screen->is_done = key == 'q';
	if (key == KEY_ESCAPE || key == '\n' || key == KEY_ENTER || key == '?')
		screen->mode = MODE_LIST;
}

static void on_key(struct screen *screen, int key)
{
	if (key == KEY_RESIZE)
		return;
	switch (screen->mode) {
	case MODE_LIST:
		text_clear(&screen->message);
		list_key(screen, key);
		return;
	case MODE_FILTER:
		filter_key(screen, key);
		return;
	case MODE_DETAIL:
	case MODE_HELP:
		page_key(screen, key);
		return;
	case MODE_CLOSE:
		screen->mode = MODE_LIST;
		if (key != 'y')
			return;
		close_subject(screen);
		/* The result stays to be read for an interval. */
		screen->due_ms = clock_now_ms() + screen->options->interval_ms;
		return;
	}
}

/* Waits until the next list is due, and handles the keys. False: the terminal is gone. */
static bool wait_for_keys(struct screen *screen)
{
	struct pollfd input = { STDIN_FILENO, POLLIN, 0 };
	uint64_t now_ms = clock_now_ms();
	int wait_ms = screen->is_frozen ? -1 : screen->due_ms > now_ms ? (int)(screen->due_ms - now_ms) : 0;
	int ready = poll(&input, 1, wait_ms), key = getch();

	/* A change of the window interrupts poll(), and getch() has KEY_RESIZE. */
	if (ready > 0 && key == ERR)
		return false;
	for (; key != ERR; key = getch())
		on_key(screen, key);
	return true;
}

static void run(struct screen *screen)
{
	bool is_open = true;

	while (is_open && !screen->is_done) {
		if (!screen->is_frozen && clock_now_ms() >= screen->due_ms) {
			look(screen);
			screen->due_ms = clock_now_ms() + screen->options->interval_ms;
		}
		draw(screen);
		is_open = wait_for_keys(screen);
	}
}

/* NULL: not a terminal, or one whose lines cannot be addressed. */
static SCREEN *open_terminal(void)
{
	const char *type = getenv("TERM");
	SCREEN *terminal;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || !type || strcmp(type, "dumb") == 0)
		return NULL;
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal)
		return NULL;
	(void)cbreak();
	(void)noecho();
	(void)keypad(stdscr, TRUE);
	(void)nodelay(stdscr, TRUE);
	(void)curs_set(0);
	(void)set_escdelay(ESCAPE_MS);
	return terminal;
}

bool top_screen_run(const struct top_options *options)
{
	struct screen screen = { .options = options };
	SCREEN *terminal = open_terminal();

	if (!terminal)
		return false;
	text_init(&screen.body);
	text_init(&screen.message);
	replace_table(&screen, &(struct top_table){ 0 });
	run(&screen);
	(void)endwin();
	delscreen(terminal);
	top_table_done(&screen.table);
	hg_free(screen.row_list);
	text_done(&screen.body);
	text_done(&screen.message);
	return true;
}
