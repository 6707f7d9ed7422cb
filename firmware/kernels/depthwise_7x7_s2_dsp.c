#define KERNEL 7
#define STRIDE 2
#define FUNCTION qmcu_depthwise_7x7_s2_dsp
#include "depthwise_dsp_template.h"
