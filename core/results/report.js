// Draws the figures of a report. Each <figure> holds its Plotly JSON in a <script type="application/json">
// beside the place to draw in.
(() => {
  'use strict';

  const CONFIG = {
    displaylogo: false,
    responsive: true,
    // Only these: one of Plotly's own sends the figure to its makers' server.
    modeBarButtons: [['toImage', 'zoom2d', 'pan2d', 'resetScale2d']],
  };

  const NARROW = 560;

  // Pictures keep their proportions, so the width decides how high they are: gives back the height they
  // leave empty.
  async function fit(place, height) {
    await Plotly.relayout(place, {height});
    const picture = place.querySelector('.heatmaplayer image');
    if (!picture) return;
    const empty = place._fullLayout._size.h - picture.getBoundingClientRect().height;
    await Plotly.relayout(place, {height: height - empty});
  }

  // On a phone the legend goes below: the width is not its own.
  const LEGEND_BELOW = {orientation: 'h', x: 0, yref: 'container', y: 0, yanchor: 'bottom'};

  async function draw(figure, place) {
    const {data, layout} = JSON.parse(figure.querySelector('script').textContent);
    delete layout.title;  // it stands above
    layout.margin = {...layout.margin, t: layout.xaxis && layout.xaxis.side === 'top' ? 56 : 24};
    if (place.clientWidth < NARROW) {
      layout.margin = {...layout.margin, l: 40, r: 8};
      layout.legend = LEGEND_BELOW;
    }
    // A finger that scrolls the page must not pan the figure.
    if (matchMedia('(pointer: coarse)').matches) layout.dragmode = false;
    const {height, yaxis} = layout;
    const hasPictures = yaxis && yaxis.scaleanchor;
    if (hasPictures) place.classList.add('pictures');
    await Plotly.newPlot(place, data, layout, CONFIG);
    if (hasPictures) {
      await fit(place, height);
      addEventListener('resize', () => fit(place, height));
    }
  }

  async function drawAll() {
    for (const figure of document.querySelectorAll('figure')) {
      const place = figure.querySelector('.plot');
      try {
        await draw(figure, place);
      } catch (error) {
        console.error(`figure ${figure.id}:`, error);
        place.classList.add('broken');
        place.textContent = `This figure cannot be drawn: ${error.message}`;
      }
    }
    document.body.dataset.drawn = 'yes';
  }

  // Paper is narrower than most screens.
  const PAPER_WIDTH = 680;
  const setWidth = (width) => {
    for (const place of document.querySelectorAll('.plot:not(.broken)')) Plotly.relayout(place, {width});
  };
  addEventListener('beforeprint', () => setWidth(PAPER_WIDTH));
  addEventListener('afterprint', () => setWidth(null));
  drawAll();
})();
