/* The firmware's linear framebuffer, for the guest. */
#ifndef POSTERN_EFI_FRAMEBUFFER_H
#define POSTERN_EFI_FRAMEBUFFER_H

#include "guest/linux.h"

/* -E_NOENT: no graphics, or no linear framebuffer of 32 bits per pixel. */
int framebuffer_find(struct guest_framebuffer *ret_fb) must_check;

#endif
