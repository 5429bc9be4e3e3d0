/*
 * The walk through the guest's page tables, and copies through it; see gva.h. No state; on the exit
 * path. The facts are those of SDM vol. 3A "Paging" (325462-084); the five kinds of paging differ
 * in the number of levels and the size of an entry, and share everything else.
 */
#include "core/gva.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/mem.h"
#include "core/cpuid.h"
#include "core/trace.h"

#define PTE_P	    BIT(0)
#define PTE_W	    BIT(1)
#define PTE_U	    BIT(2)
#define PTE_A	    BIT(5)
#define PTE_D	    BIT(6)
#define PTE_PS	    BIT(7)
#define PTE_NX	    BIT(63)
#define PTE_ADDRESS BITS(51, 12)
#define PTE32_RSVD  BIT(21)		      /* of a 4 MiB page */
#define PTE32_HIGH  BITS(20, 13)	      /* of a 4 MiB page: address bits 39:32 */
#define PDPTE_RSVD  (BITS(2, 1) | BITS(8, 5)) /* PAE: no permissions, no accessed bit */
#define PAE_RSVD    BITS(62, 52)
#define PAE_CR3	    BITS(31, 5)
#define LEVELS_MAX  5u
#define PHYS_MIN    36u /* bits of a physical address that every CPU has */

#define FAULT_P	    0x01u
#define FAULT_W	    0x02u
#define FAULT_U	    0x04u
#define FAULT_RSVD  0x08u
#define FAULT_I	    0x10u

/* What the registers say about a translation, read once for all pages of a copy. */
struct paging {
	struct vm *vm;
	uint64_t root;
	unsigned levels; /* 0: no paging */
	enum gva_access access;
	bool user, wp, nx, smep, smap, pse;
	/* An entry without any of these has no reserved bit set and is no large page. */
	uint64_t suspect;
};

/* A walk under way: the entries that it went through, from the root on. */
struct walk {
	uint64_t gva;
	unsigned depth;
	uint64_t entry[LEVELS_MAX], at[LEVELS_MAX]; /* values, and guest-physical addresses */
};

static void read_paging(struct vm *vm, enum gva_access access, bool user, struct paging *ret)
{
	struct vcpu *v = &vm->vcpu;
	uint64_t cr0 = vcpu_get(v, VREG_CR0), cr4, efer;

	*ret = (struct paging){.vm = vm, .access = access, .user = user, .suspect = PTE_PS};
	if (!(cr0 & CR0_PG))
		return;
	cr4 = vcpu_get(v, VREG_CR4);
	efer = vcpu_get(v, VREG_EFER);
	ret->root = vcpu_get(v, VREG_CR3);
	ret->wp = cr0 & CR0_WP;
	ret->smep = cr4 & CR4_SMEP;
	ret->smap = !user && cr4 & CR4_SMAP && !(vcpu_get(v, VREG_RFLAGS) & RFLAGS_AC);
	if (efer & EFER_LMA) {
		ret->levels = cr4 & CR4_LA57 ? 5 : 4;
		ret->root &= PTE_ADDRESS;
	} else if (cr4 & CR4_PAE) {
		ret->levels = 3;
		ret->root &= PAE_CR3;
		ret->suspect |= PAE_RSVD | PDPTE_RSVD;
	} else {
		ret->levels = 2;
		ret->root &= BITS(31, 12);
		ret->pse = cr4 & CR4_PSE;
		return;
	}
	ret->nx = efer & EFER_NXE;
	ret->suspect |= PTE_ADDRESS & ~(BIT(PHYS_MIN) - 1);
	if (!ret->nx || ret->levels == 3)
		ret->suspect |= PTE_NX;
}

/* A bit above the CPU's physical addresses? CPUID is asked only for addresses that are high. */
static bool is_beyond(const struct vm *vm, uint64_t address)
{
	return address >> PHYS_MIN && address >> cpuid_physical_bits(vm);
}

static bool is_pae_root(const struct paging *p, unsigned level)
{
	return p->levels == 3 && level == 3;
}

static bool is_leaf(const struct paging *p, uint64_t entry, unsigned level)
{
	if (level == 1)
		return true;
	return entry & PTE_PS && (p->levels > 2 || p->pse) && !is_pae_root(p, level);
}

/* The number of address bits inside a page that an entry of this level maps. */
static unsigned level_shift(const struct paging *p, unsigned level)
{
	return PAGE_SHIFT + (level - 1) * (p->levels == 2 ? 10 : 9);
}

static uint64_t leaf_address(const struct paging *p, uint64_t entry, unsigned level)
{
	uint64_t base = entry & PTE_ADDRESS & ~(BIT(level_shift(p, level)) - 1);

	if (p->levels == 2 && level == 2)
		base = (entry & BITS(31, 22)) | FIELD_GET(PTE32_HIGH, entry) << 32;
	return base;
}

static bool has_reserved(const struct paging *p, uint64_t entry, unsigned level)
{
	bool leaf = is_leaf(p, entry, level);

	if (p->levels == 2)
		return leaf && level == 2 &&
		       (entry & PTE32_RSVD || is_beyond(p->vm, leaf_address(p, entry, level)));
	if (is_beyond(p->vm, entry & PTE_ADDRESS) || (entry & PTE_NX && !p->nx))
		return true;
	if (p->levels == 3 && entry & PAE_RSVD)
		return true;
	if (is_pae_root(p, level))
		return entry & (PDPTE_RSVD | PTE_NX);
	if (!leaf || level == 1)
		return false;
	/* Bit 12 of a large page is its PAT bit; the address starts at its own size. */
	return level > 3 || entry & BITS(level_shift(p, level) - 1, 13) ||
	       (level == 3 && !cpuid_has_1gib_pages(p->vm));
}

static int page_fault(
	const struct paging *p, uint64_t gva, uint32_t error, struct gva_fault *ret_fault)
{
	if (p->access == GVA_WRITE)
		error |= FAULT_W;
	if (p->access == GVA_FETCH && (p->nx || p->smep))
		error |= FAULT_I;
	if (p->user)
		error |= FAULT_U;
	*ret_fault = (struct gva_fault){VECTOR_PF, error, gva};
	return -E_FAULT;
}

/* The tables are not in guest memory. */
static int lost(uint64_t gva, struct gva_fault *ret_fault)
{
	*ret_fault = (struct gva_fault){.address = gva};
	return -E_FAULT;
}

/* rights: the AND of all entries' bits, with NX turned round so that set means allowed. */
static bool is_allowed(const struct paging *p, uint64_t rights)
{
	bool user_page = rights & PTE_U;

	if (p->user ? !user_page : user_page && (p->access == GVA_FETCH ? p->smep : p->smap))
		return false;
	if (p->access == GVA_WRITE)
		return rights & PTE_W || (!p->user && !p->wp);
	return p->access != GVA_FETCH || !p->nx || rights & PTE_NX;
}

static int entry_read(
	const struct paging *p, const struct walk *w, uint64_t at, uint64_t *ret, size_t size)
{
	int err = gmem_read(&p->vm->gmem, gpa(at), ret, size);

	if (trace_is_on(p->vm))
		trace_note_walk(p->vm, w->gva, gpa(at), err ? NULL : ret, size, false);
	return err;
}

static int entry_write(const struct paging *p, const struct walk *w, uint64_t at,
	const uint64_t *entry, size_t size)
{
	int err = gmem_write(&p->vm->gmem, gpa(at), entry, size);

	if (trace_is_on(p->vm))
		trace_note_walk(p->vm, w->gva, gpa(at), err ? NULL : entry, size, true);
	return err;
}

static int set_accessed(const struct paging *p, struct walk *w)
{
	size_t size = p->levels == 2 ? 4 : 8;

	for (unsigned i = p->levels == 3 ? 1 : 0; i < w->depth; i++) {
		bool dirty = i == w->depth - 1 && p->access == GVA_WRITE;
		uint64_t entry = w->entry[i] | PTE_A | (dirty ? PTE_D : 0);

		if (entry == w->entry[i])
			continue;
		if (entry_write(p, w, w->at[i], &entry, size))
			return -E_FAULT;
		w->entry[i] = entry;
	}
	return 0;
}

static bool is_canonical(const struct paging *p, uint64_t gva)
{
	unsigned unused = p->levels == 5 ? 64 - 57 : 64 - 48;

	return (uint64_t)((int64_t)(gva << unused) >> unused) == gva;
}

static int walk_tables(
	const struct paging *p, struct walk *w, gpa_t *ret_gpa, struct gva_fault *ret_fault)
{
	unsigned size = p->levels == 2 ? 4 : 8, bits = p->levels == 2 ? 10 : 9;
	unsigned shift = PAGE_SHIFT + p->levels * bits;
	uint64_t table = p->root, rights = ~0ull;

	for (unsigned level = p->levels;; level--) {
		uint64_t at, entry = 0;
		bool leaf = level == 1;

		shift -= bits;
		at = table + (w->gva >> shift & (BIT(bits) - 1)) * size;
		if (entry_read(p, w, at, &entry, size))
			return lost(w->gva, ret_fault);
		if (!(entry & PTE_P))
			return page_fault(p, w->gva, 0, ret_fault);
		if (entry & p->suspect) {
			if (has_reserved(p, entry, level))
				return page_fault(p, w->gva, FAULT_P | FAULT_RSVD, ret_fault);
			leaf = is_leaf(p, entry, level);
		}
		w->at[w->depth] = at;
		w->entry[w->depth++] = entry;
		if (!is_pae_root(p, level))
			rights &= entry ^ PTE_NX;
		table = entry & PTE_ADDRESS;
		if (!leaf)
			continue;
		if (!is_allowed(p, rights))
			return page_fault(p, w->gva, FAULT_P, ret_fault);
		if (!(rights & PTE_A) || (p->access == GVA_WRITE && !(entry & PTE_D)))
			if (set_accessed(p, w))
				return lost(w->gva, ret_fault);
		if (level > 1)
			table = leaf_address(p, entry, level);
		*ret_gpa = gpa(table | (w->gva & (BIT(shift) - 1)));
		return 0;
	}
}

/* ---- translations found before ---- */

#define TAG_VALID BIT(11)
#define TAG_USER  BIT(2)
#define TAG_AC	  BIT(3)

static struct gva_slot *find_slot(struct vm *vm, uint64_t gva, enum gva_access access)
{
	return &vm->gva_slot[(gva >> PAGE_SHIFT ^ (access == GVA_FETCH ? 4 : 0)) % GVA_SLOTS];
}

/* RFLAGS.AC matters only with SMAP. */
static uint64_t slot_tag(
	struct vcpu *v, uint64_t cr4, uint64_t gva, enum gva_access access, bool user)
{
	uint64_t tag = (gva & ~PAGE_MASK) | TAG_VALID | (uint64_t)access | (user ? TAG_USER : 0);

	if (cr4 & CR4_SMAP && vcpu_get(v, VREG_RFLAGS) & RFLAGS_AC)
		tag |= TAG_AC;
	return tag;
}

/* Without the last steps' side effects: accessed and dirty bits are set in what is compared. */
static bool look_up(struct vm *vm, uint64_t gva, enum gva_access access, bool user, gpa_t *ret)
{
	struct gva_slot *s = find_slot(vm, gva, access);
	struct vcpu *v = &vm->vcpu;
	uint64_t differ, cr4;

	/* A record has the walk in full. */
	if ((s->tag ^ gva) & ~PAGE_MASK || !s->tag || trace_is_on(vm))
		return false;
	cr4 = vcpu_get(v, VREG_CR4);
	differ = (s->tag ^ slot_tag(v, cr4, gva, access, user)) | (s->cr4 ^ cr4);
	differ |= (s->cr3 ^ vcpu_get(v, VREG_CR3)) | (s->cr0 ^ vcpu_get(v, VREG_CR0)) |
		  (s->efer ^ vcpu_get(v, VREG_EFER));
	if (differ)
		return false;
	for (unsigned i = 0; i < s->depth; i++)
		differ |= *s->at[i] ^ s->entry[i];
	if (differ)
		return false;
	*ret = gpa(s->page | (gva & PAGE_MASK));
	return true;
}

static void remember(const struct paging *p, const struct walk *w, gpa_t at)
{
	struct gva_slot *s = find_slot(p->vm, w->gva, p->access);
	struct vcpu *v = &p->vm->vcpu;

	s->tag = 0;
	for (unsigned i = 0; i < w->depth; i++) {
		s->at[i] = gmem_watch(&p->vm->gmem, gpa(w->at[i]));
		if (!s->at[i])
			return;
		s->entry[i] = w->entry[i];
	}
	s->depth = w->depth;
	s->cr0 = vcpu_get(v, VREG_CR0);
	s->cr3 = vcpu_get(v, VREG_CR3);
	s->cr4 = vcpu_get(v, VREG_CR4);
	s->efer = vcpu_get(v, VREG_EFER);
	s->page = at.v & ~PAGE_MASK;
	s->tag = slot_tag(v, s->cr4, w->gva, p->access, p->user);
}

static int translate(
	const struct paging *p, uint64_t gva, gpa_t *ret_gpa, struct gva_fault *ret_fault)
{
	struct walk w; /* not initialised as a whole: the entries are filled as it goes */
	int err;

	w.gva = p->levels < 4 ? gva & BITS(31, 0) : gva;
	w.depth = 0;
	if (!p->levels) {
		*ret_gpa = gpa(w.gva);
		trace_translated(p->vm, gva, *ret_gpa);
		return 0;
	}
	if (p->levels >= 4 && !is_canonical(p, gva)) {
		*ret_fault = (struct gva_fault){VECTOR_GP, 0, gva};
		return -E_FAULT;
	}
	err = walk_tables(p, &w, ret_gpa, ret_fault);
	if (err)
		return err;
	trace_translated(p->vm, gva, *ret_gpa);
	if (p->levels >= 4)
		remember(p, &w, *ret_gpa);
	return 0;
}

int gva_translate(struct vm *vm, uint64_t gva, enum gva_access access, bool user, gpa_t *ret_gpa,
	struct gva_fault *ret_fault)
{
	struct paging p;

	if (look_up(vm, gva, access, user, ret_gpa))
		return 0;
	read_paging(vm, access, user, &p);
	return translate(&p, gva, ret_gpa, ret_fault);
}

/* Bytes from gva to the end of its page, at most len. */
static size_t rest_of_page(uint64_t gva, size_t len)
{
	return min_u64(len, PAGE_SIZE - (gva & PAGE_MASK));
}

/* Copies to out, or from in where out is NULL. */
static int copy(const struct paging *p, uint64_t gva, uint8_t *out, const uint8_t *in, size_t len,
	struct gva_fault *ret_fault)
{
	enum trace_access_kind kind = p->access == GVA_FETCH ? TRACE_ACCESS_FETCH
							     : TRACE_ACCESS_MEMORY;

	for (size_t done = 0, n; done < len; done += n, gva += n) {
		gpa_t at;
		int err = translate(p, gva, &at, ret_fault);

		if (err)
			return err;
		n = rest_of_page(gva, len - done);
		if (out ? traced_read(p->vm, kind, at, out + done, n)
			: traced_write(p->vm, at, in + done, n))
			return lost(gva, ret_fault);
	}
	return 0;
}

int gva_read(struct vm *vm, uint64_t gva, void *ret_copy, size_t len, enum gva_access access,
	bool user, struct gva_fault *ret_fault)
{
	struct paging p;
	gpa_t at;

	if (len <= PAGE_SIZE - (gva & PAGE_MASK) && look_up(vm, gva, access, user, &at) &&
		!gmem_read(&vm->gmem, at, ret_copy, len))
		return 0;
	read_paging(vm, access, user, &p);
	return copy(&p, gva, ret_copy, NULL, len, ret_fault);
}

int gva_write(struct vm *vm, uint64_t gva, const void *data, size_t len, bool user,
	struct gva_fault *ret_fault)
{
	struct paging p;

	read_paging(vm, GVA_WRITE, user, &p);
	return copy(&p, gva, NULL, data, len, ret_fault);
}
