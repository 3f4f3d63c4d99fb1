/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/symbols.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#include "user/base/mem.h"

struct symbols {
	int fd;
	Elf *elf;
	Elf_Data *data;
	size_t count;
	size_t names; /* section */
	uintptr_t base; /* where the program was loaded */
};

/* The first object is the program. */
static int note_base(struct dl_phdr_info *info, size_t size, void *argument)
{
	(void)size;
	*(uintptr_t *)argument = info->dlpi_addr;
	return 1;
}

static bool symbols_find_table(struct symbols *symbols)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(symbols->elf, section)) != NULL) {
		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_SYMTAB || !header.sh_entsize)
			continue;
		symbols->data = elf_getdata(section, NULL);
		symbols->count = header.sh_size / header.sh_entsize;
		symbols->names = header.sh_link;
		return symbols->data != NULL;
	}
	return false;
}

struct symbols *symbols_open(void)
{
	struct symbols *symbols = hg_calloc(1, sizeof(*symbols));

	if (!symbols)
		return NULL;
	symbols->fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (symbols->fd >= 0 && elf_version(EV_CURRENT) != EV_NONE)
		symbols->elf = elf_begin(symbols->fd, ELF_C_READ_MMAP, NULL);
	if (!symbols->elf || !symbols_find_table(symbols)) {
		symbols_free(symbols);
		return NULL;
	}
	(void)dl_iterate_phdr(note_base, &symbols->base);
	return symbols;
}

void symbols_free(struct symbols *symbols)
{
	if (!symbols)
		return;
	if (symbols->elf)
		elf_end(symbols->elf);
	if (symbols->fd >= 0)
		close(symbols->fd);
	hg_free(symbols);
}

static bool name_of_ours(const struct symbols *symbols, uintptr_t address, struct text *out)
{
	GElf_Sym symbol;

	for (size_t i = 0; i < symbols->count; i++) {
		const char *name;

		if (!gelf_getsym(symbols->data, (int)i, &symbol) || GELF_ST_TYPE(symbol.st_info) != STT_FUNC)
			continue;
		if (address - symbols->base < symbol.st_value ||
		    address - symbols->base >= symbol.st_value + symbol.st_size)
			continue;
		name = elf_strptr(symbols->elf, symbols->names, symbol.st_name);
		if (!name)
			return false;
		text_fmt(out, "%s+0x%llx", name,
			 (unsigned long long)(address - symbols->base - symbol.st_value));
		return true;
	}
	return false;
}

void symbols_name(const struct symbols *symbols, uintptr_t address, struct text *out)
{
	Dl_info info;

	if (symbols && name_of_ours(symbols, address, out))
		return;
	if (dladdr((void *)address, &info) && info.dli_fname) {
		const char *slash = strrchr(info.dli_fname, '/');

		text_str(out, slash ? slash + 1 : info.dli_fname);
		if (info.dli_sname)
			text_fmt(out, " %s+0x%llx", info.dli_sname,
				 (unsigned long long)(address - (uintptr_t)info.dli_saddr));
		else
			text_fmt(out, "+0x%llx", (unsigned long long)(address - (uintptr_t)info.dli_fbase));
		return;
	}
	text_fmt(out, "0x%llx", (unsigned long long)address);
}
