/* libgcc's 64-bit division names this unwinding routine; C code without exceptions never calls it. */
void __aeabi_unwind_cpp_pr0(void);
void __aeabi_unwind_cpp_pr0(void)
{
}
