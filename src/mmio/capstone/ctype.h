/* See stdio.h. Included by Capstone, and not used. */
