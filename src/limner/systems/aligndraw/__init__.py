"""alignDRAW and DRAW: painting stroke by stroke (Mansimov et al., ICLR 2016; Gregor et al., ICML 2015)."""
