#define KERNEL 7
#define STRIDE 1
#define FUNCTION qmcu_depthwise_7x7_s1_dsp
#include "depthwise_dsp_template.h"
